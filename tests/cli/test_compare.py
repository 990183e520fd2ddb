"""`survfuse compare` from the command line to its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from comparison_fixture import folds, write_survival
from survfuse.cli.main import main
from survfuse.core.files import read_json


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two studies with two rows, and one that has only one of them."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("blca", "hnsc", "own")):
        rows = {"survfuse": folds(number, 0.03), "snn": folds(7 + number, 0.0)}
        write_survival(tmp_path / name, rows if name != "own" else {"survfuse": rows["survfuse"]})
    return ["blca", "hnsc", "own"]


def test_it_writes_both_files_and_says_so(
    studies: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *studies, "--out", "compared"]) == 0
    assert (tmp_path / "compared" / "compare.html").is_file()
    compared = read_json(tmp_path / "compared" / "compare.json")
    assert [row["model"] for row in compared["rows"]] == ["snn", "survfuse"]
    said = capsys.readouterr().err
    assert "3 studies, 2 rows against clinical_cox: compared/compare.json and" in said
    assert "own is left out of snn: it has no row snn." in said


def test_rows_and_reference_can_be_named(studies: list[str], tmp_path: Path) -> None:
    named = ["--row", "survfuse", "--reference", "clinical_cox"]
    assert main(["compare", *studies, "--out", "compared", *named]) == 0
    compared = read_json(tmp_path / "compared" / "compare.json")
    assert [row["model"] for row in compared["rows"]] == ["survfuse"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["blca"], "at least two are needed"),
        (["blca", "nowhere"], "nowhere: is no finished study"),
        (["blca", "./blca"], "is named twice"),
        (["blca", "hnsc", "--row", "unknown"], "no study has a row 'unknown'"),
    ],
)
def test_what_cannot_be_compared_stops_before_anything_is_written(
    studies: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert studies
    assert main(["compare", *arguments, "--out", "compared"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "compared").exists()
