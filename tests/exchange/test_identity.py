"""Key files: strict, kept apart, and needed together with the switch."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from survfuse.core.errors import UserInputError
from survfuse.exchange.identity import Identity, identities, read_key_file

HEADER = "patient_id\tidentifier\tauthority\tfamily_name\tgiven_name\tbirth_date\n"


def key_file(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "key.tsv"
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    path.chmod(0o600)
    return path


def test_a_key_file_is_read(tmp_path: Path) -> None:
    path = key_file(tmp_path, "P1\t4711\tHospital\tDoe\tJo\t1957-03-21", "P2\t4712\t\t\t\t")
    found = identities(["P2", "P1"], path, True)
    assert found["P1"] == Identity("P1", "4711", "Hospital", "Doe", "Jo", "1957-03-21")
    assert found["P2"].shown == "4712"


def test_without_it_patients_are_pseudonyms() -> None:
    assert identities(["P1"], None, False)["P1"].shown == "P1"


@pytest.mark.parametrize(("given", "switch"), [(True, False), (False, True)])
def test_neither_goes_without_the_other(tmp_path: Path, given: bool, switch: bool) -> None:
    path = key_file(tmp_path, "P1\t4711\t\t\t\t") if given else None
    with pytest.raises(UserInputError, match="give both or neither"):
        identities(["P1"], path, switch)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (("P1\t\t\t\t\t",), "row 2: identifier is empty"),
        (("P1\t1\t\t\t\t", "P1\t2\t\t\t\t"), "row 3: the patient_id was there already"),
        (("P1\t1\t\t\t\t", "P2\t1\t\t\t\t"), "row 3: has the identifier of row 2"),
        (("P1\t1\t\t\t\t21.3.1957",), "row 2: birth_date is no date"),
        (("P1\t1\t\tDo\x07e\t\t",), "family_name holds a control character"),
        (("P3\t1\t\t\t\t",), "1 of 1 patients are not in it"),
    ],
)
def test_faults_are_told_with_their_row(tmp_path: Path, rows: tuple[str, ...], fault: str) -> None:
    with pytest.raises(UserInputError, match=fault):
        identities(["P1"], key_file(tmp_path, *rows), True)


def test_columns_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    path = key_file(tmp_path, "P1\t1\t0170", header="patient_id\tidentifier\tphone\n")
    with pytest.raises(UserInputError, match="phone is not known"):
        read_key_file(path)


def test_a_key_file_that_others_may_read_is_remarked_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = key_file(tmp_path, "P1\t4711\t\tDoe\t\t")
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        read_key_file(path)
    assert "others than its owner" in caplog.text
    assert "4711" not in caplog.text and "Doe" not in caplog.text
