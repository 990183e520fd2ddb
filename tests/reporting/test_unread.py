"""Pages say what the models behind an estimate did not read, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reporting_fixture import Fixture, write_fixture
from survfuse.reporting.inputs import read_report_data
from survfuse.reporting.render import render
from survfuse.reporting.sections.input_chips import Chip
from survfuse.reporting.sections.unread import (
    UNREAD,
    unread_modalities,
    unread_sentences,
    why_average,
    with_unread,
)
from survfuse.reporting.survival.patient_page import patient_context, read_page_model

ROW = {"model": "cmta", "label": "CMTA", "role": "fusion", "modalities": ["slides", "omics"]}


@pytest.mark.parametrize(
    ("fits", "unread"),
    [
        ([{"read": ["omics"]}], {"slides"}),
        ([{"read": ["omics"]}, {"read": ["slides", "omics"]}], set()),  # another repeat did
        ([{"read": [], "not_estimable": "nobody had the event"}], set()),
        ([{}], set()),  # of an earlier version
        ([], set()),
    ],
)
def test_unread_is_what_no_fold_learned(fits: list[dict], unread: set[str]) -> None:
    assert unread_modalities(ROW, fits) == unread


def test_an_average_is_one_only_if_no_fold_could_be_fitted() -> None:
    failed = {"read": [], "not_estimable": "no training patient has slides"}
    assert why_average([failed]) == failed["not_estimable"]
    assert why_average([failed, {"read": ["slides"]}]) is None
    assert why_average([]) is None


def test_only_what_the_patient_has_is_unread() -> None:
    here = Chip("Slides", "present", ["1 slide"], used=True)
    assert with_unread(here, unread=True).lines == ["1 slide", UNREAD]
    absent = Chip("Slides", "missing", ["no slide in the sheet"], used=True)
    for chip, unread in ((here, False), (absent, True)):
        assert with_unread(chip, unread) == chip


def test_a_modality_read_of_nobody_is_told_unless_nothing_was_read_or_it_is_unknown() -> None:
    def told(**more: object) -> list[str]:
        return unread_sentences({"rows": [{**ROW, **more}]})

    read = {"slides": 0, "omics": 20}
    (sentence,) = told(n_read=20, read=read)
    assert sentence.startswith("CMTA read the slides of no patient")
    assert not told(n_read=20, read={"slides": 3, "omics": 20})
    assert not told(n_read=0, read={"slides": 0, "omics": 0})  # its own sentence says why
    assert not told(n_read=None, read=None)
    assert not told(n_read=20, read=read, role="control")


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        ({"read": ["omics", "clinical"]}, "but the model of this fold had no training patient"),
        ({"read": [], "not_estimable": "nobody had it"}, "predicts the average training patient"),
    ],
)
def test_the_patient_page_says_so(tmp_path: Path, fit: dict, said: str) -> None:
    fixture: Fixture = write_fixture(tmp_path)
    for path in (tmp_path / "models" / "cmta").glob("*/fit.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), **fit}))
    data = read_report_data(fixture.inputs)
    model = read_page_model(fixture.config, data)
    context = patient_context(fixture.config, data, model, fixture.complete)
    page = render("patient.html.j2", context)
    assert said in page
