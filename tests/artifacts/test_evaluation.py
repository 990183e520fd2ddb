"""evaluation.json holds what its record declares, whichever task wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinic_fixture import write_clinic
from evaluation_fixture import write_study
from survfuse.artifacts.evaluation import (
    DiagnosisEvaluation,
    Leaderboard,
    SurvivalEvaluation,
    read_evaluation,
)
from survfuse.core.errors import UserInputError
from survfuse.core.files import write_json


def fields_of(record: type) -> frozenset[str]:
    """All fields, those too that earlier versions have not written."""
    return frozenset(record.__required_keys__ | record.__optional_keys__)  # type: ignore[attr-defined]


def test_survival_writes_the_fields_of_its_record(tmp_path: Path) -> None:
    assert write_study(tmp_path).evaluate().keys() == fields_of(SurvivalEvaluation)


def test_a_diagnosis_writes_the_fields_of_its_record(tmp_path: Path) -> None:
    clinic = write_clinic(tmp_path, volumes=False)
    found = read_evaluation(clinic.evaluation)
    assert found.keys() == fields_of(DiagnosisEvaluation)


def test_records_share_what_does_not_depend_on_the_task() -> None:
    shared = SurvivalEvaluation.__required_keys__ & DiagnosisEvaluation.__required_keys__
    assert Leaderboard.__required_keys__ < shared
    assert "tau_months" not in shared and "classes" not in shared


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"rows": []}, "it lacks absolute_risk, availability, comparisons"),
        ([], "expected an object, found list"),
    ],
)
def test_what_is_no_evaluation_is_refused(tmp_path: Path, content: object, sentence: str) -> None:
    path = tmp_path / "evaluation.json"
    with pytest.raises(UserInputError, match="run the stage that writes it"):
        read_evaluation(path)
    write_json(path, content)
    with pytest.raises(UserInputError, match=sentence):
        read_evaluation(path)
