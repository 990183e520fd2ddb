"""A page, or a part of one, that fails: it is told, and costs nothing else."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from reporting_fixture import Fixture, configuration, write_fixture
from survfuse.cli.main import main
from survfuse.config.study import Config
from survfuse.core.errors import RetryableError, TooManyFailuresError
from survfuse.reporting.inputs import ReportInputs, read_report_data
from survfuse.reporting.parts import attempt, why
from survfuse.reporting.stage import write_reports
from survfuse.reporting.stored_attention import read_attention
from survfuse.reporting.survival import pages as pages_of_survival
from survfuse.reporting.wording import lint

CHOSEN = ["P001", "P002", "P003"]


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    return write_fixture(tmp_path_factory.mktemp("failures"))


@pytest.fixture
def copy(fixture: Fixture, tmp_path: Path) -> Config:
    """The configuration of a copy of the run, which a test may spoil."""
    shutil.copytree(fixture.config.output, tmp_path / "run")
    return configuration(tmp_path / "run", report={"patients": CHOSEN, "title": "T"})


def pages(out: Path) -> set[str]:
    return {path.stem for path in out.rglob("*.html")}


def without_prediction(config: Config, patient_id: str) -> None:
    """Take a patient out of the predictions of the model of the pages."""
    path = config.output / "predictions" / "cmta.tsv"
    kept = [line for line in path.read_text().splitlines() if not line.startswith(patient_id)]
    path.write_text("\n".join(kept) + "\n")


def test_a_page_that_fails_costs_no_other(
    copy: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "report"
    write_reports(copy, copy.output, out)
    assert pages(out) == {"index", *CHOSEN}
    without_prediction(copy, "P002")
    with caplog.at_level(logging.INFO):
        write_reports(copy, copy.output, out)
    assert pages(out) == {"index", "P001", "P003"}  # that of the earlier run is gone
    assert not list((out / "figures" / "patients" / "P002").glob("*"))
    assert "patient P002: no page was written: patient P002: the model has no pre" in caplog.text
    assert "1 of 3 patient pages could not be written: P002" in caplog.text
    html = (out / "index.html").read_text("utf-8")
    assert "1 page could not be written" in html
    assert "the model has no prediction; predict again" in html
    assert "beside this file: 2 pages" in html
    assert lint(html) == []
    assert "P002" in (out / "tables" / "missing_pages.csv").read_text("utf-8")


def test_a_defect_in_a_page_is_told_without_paths_and_logged_in_full(
    copy: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make = pages_of_survival.PAGES.patient

    def broken(config, data, model, patient_id):  # type: ignore[no-untyped-def]
        if patient_id == "P001":
            raise IndexError("no 7 in /data/people/jane_doe/file.h5")
        return make(config, data, model, patient_id)

    monkeypatch.setattr(
        pages_of_survival, "PAGES", replace(pages_of_survival.PAGES, patient=broken)
    )
    with caplog.at_level(logging.INFO):
        write_reports(copy, copy.output, tmp_path / "report")
    html = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "it could not be made (IndexError: no 7 in (file))" in html
    assert "jane_doe" not in html
    assert any(record.exc_info for record in caplog.records)
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert not any("Traceback" in line for line in told)


def test_a_page_asked_for_by_name_that_fails_is_an_error(copy: Config, tmp_path: Path) -> None:
    without_prediction(copy, "P002")
    with pytest.raises(TooManyFailuresError, match="1 of 2 patient pages could not be written"):
        write_reports(copy, copy.output, tmp_path / "report", ["P002", "P003"])
    assert pages(tmp_path / "report") == {"P003"}


def test_memory_that_runs_out_is_no_fault_of_a_page() -> None:
    said: list[str] = []
    with pytest.raises(RetryableError):
        attempt("patient P1", "map", lambda: bytes(MemoryError() and 10**18), None, said)
    with pytest.raises(RetryableError):
        why(MemoryError())
    assert said == []


def spoil_attention(config: Config, weights: np.ndarray) -> None:
    with h5py.File(config.output / "predictions" / "cmta.attention.h5", "a") as file:
        del file["P001"]["slides"]
        file["P001"]["slides"] = weights


def test_attention_of_a_model_fitted_without_slides_is_no_map(copy: Config, tmp_path: Path) -> None:
    spoil_attention(copy, np.ones(1, np.float32))
    looked = read_attention(read_report_data(ReportInputs.under(copy.output)), "cmta", "P001")
    assert looked.tiles is None
    assert looked.groups is not None
    write_reports(copy, copy.output, tmp_path / "report")
    html = (tmp_path / "report" / "patients" / "P001.html").read_text("utf-8")
    assert "No map of attention: the model of this patient’s fold gave 1 weight for" in html
    assert "Gene groups by attention" in html
    assert lint(html) == []


def test_attention_that_is_no_number_is_no_map(copy: Config) -> None:
    with h5py.File(copy.output / "predictions" / "cmta.attention.h5") as file:
        tiles = len(file["P001"]["coords"])
    spoil_attention(copy, np.full(tiles, np.nan, np.float32))
    looked = read_attention(read_report_data(ReportInputs.under(copy.output)), "cmta", "P001")
    assert looked.tiles is None
    assert looked.remarks == ("No map of attention: its weights are not numbers.",)


def test_attention_that_cannot_be_read_costs_its_part_alone(copy: Config, tmp_path: Path) -> None:
    (copy.output / "predictions" / "cmta.attention.h5").write_bytes(b"no HDF5")
    write_reports(copy, copy.output, tmp_path / "report")
    html = (tmp_path / "report" / "patients" / "P001.html").read_text("utf-8")
    assert "No map of attention: " in html
    assert "Expected course" in html
    assert "What moved the estimate" in html


def test_the_command_ends_with_0_where_pages_are_missing(
    copy: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    without_prediction(copy, "P002")
    monkeypatch.setattr("survfuse.models.runnable.load", lambda _: copy)
    asked = ["--config", "x.yaml", "--results", str(copy.output), "--out", str(tmp_path / "r")]
    assert main(["report", *asked, "--log", str(tmp_path / "log")]) == 0
    shown = capsys.readouterr().err
    assert "patient P002: no page was written" in shown
    assert "1 of 3 patient pages could not be written: P002" in shown
    assert main(["report", *asked, "--patient", "P002"]) == 4
