"""`survfuse export`: every form of every patient, nothing of anybody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exchange_fixture import predictions, record
from survfuse.cli.main import main
from survfuse.core.errors import UserInputError
from survfuse.exchange.stage import export_predictions


def test_the_command_writes_every_form(tmp_path: Path) -> None:
    folder = predictions(tmp_path / "new", record("P1"), record("P2"))
    assert main(["export", "--predicted", str(folder), "--out", str(tmp_path / "out")]) == 0
    written = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")
    )
    assert written == [
        *("dicom/P1.page.dcm", "dicom/P1.report.dcm", "dicom/P2.page.dcm", "dicom/P2.report.dcm"),
        *("fhir/P1.json", "fhir/P2.json", "hl7/P1.hl7", "hl7/P2.hl7"),
    ]


def test_two_exports_are_the_same_bytes(tmp_path: Path) -> None:
    folder = predictions(tmp_path / "new", record())
    first, second = (export_predictions(folder, tmp_path / name) for name in ("a", "b"))
    assert [one.read_bytes() for one in first] == [one.read_bytes() for one in second]


def test_without_a_page_dicom_says_so_and_the_others_are_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = predictions(tmp_path / "new", record(), pdf=None)
    written = export_predictions(folder, tmp_path / "out")
    assert [one.suffix for one in written] == [".json", ".hl7"]
    assert "has no PDF" in caplog.text


def test_identifiers_do_not_lie_among_the_predictions(tmp_path: Path) -> None:
    folder = predictions(tmp_path / "new", record())
    key = tmp_path / "key.tsv"
    key.write_text("patient_id\tidentifier\nP1\t4711\n")
    key.chmod(0o600)
    with pytest.raises(UserInputError, match="lies among the predictions"):
        export_predictions(folder, folder / "out", ["fhir"], key, True)
    (path,) = export_predictions(folder, tmp_path / "out", ["fhir"], key, True)
    assert "4711" in path.read_text()
    assert path.name == "P1.json"


@pytest.mark.parametrize("name", ["fhir ", "pdf", ""])
def test_forms_that_nobody_knows_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserInputError, match="is no format"):
        export_predictions(predictions(tmp_path, record()), tmp_path / "out", [name])


def test_folders_without_predictions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="holds no predictions"):
        export_predictions(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("patient", ["../../x", "<script>", "P2", ""])
def test_a_record_of_somebody_else_is_refused(tmp_path: Path, patient: str) -> None:
    folder = predictions(tmp_path / "new", record("P1"), pdf=None)
    path = folder / "predictions" / "P1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "patient_id": patient}))
    with pytest.raises(UserInputError, match="is no prediction of P1"):
        export_predictions(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
