"""Pooling finished studies: variances, rows, references, and what is left out with a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from comparison_fixture import (
    LABELS,
    folds,
    standard_error_of,
    write_diagnosis,
    write_survival,
)
from survfuse.artifacts.comparison import (
    ComparedStudies,
    ComparedStudy,
    Difference,
    PooledDifference,
    Score,
)
from survfuse.core.errors import UserInputError
from survfuse.evaluation.pooling import compare_studies
from survfuse.statistics.meta_analysis import random_effects
from survfuse.tasks.finished import read_studies

MEANS = (0.02, 0.05, -0.01)


@pytest.fixture
def survival(tmp_path: Path) -> list[Path]:
    """Three studies with two rows beside the reference, of which the last lacks one."""
    found = []
    for number, mean in enumerate(MEANS):
        rows = {"survfuse": folds(number, mean), "snn": folds(9 + number, 0, number=5)}
        if number == 2:
            del rows["snn"]
        found.append(write_survival(tmp_path / f"study{number}", rows))
    return found


def compare(
    folders: Sequence[Path], rows: Sequence[str] = (), reference: str | None = None
) -> ComparedStudies:
    return compare_studies(read_studies(folders), rows, reference)


def test_the_corrected_variance_of_each_study_is_pooled(survival: list[Path]) -> None:
    found = compare(survival, ["survfuse"])
    of_folds = [folds(number, mean) for number, mean in enumerate(MEANS)]
    errors = [standard_error_of(more) for more in of_folds]
    assert [one["standard_error"] for one in found["differences"]] == pytest.approx(errors)
    assert [one["freedom"] for one in found["differences"]] == [24, 24, 24]
    values = np.array([np.mean(more) for more in of_folds])
    expected = random_effects(values, np.array(errors) ** 2, 0.95)
    [pooled] = found["pooled"]
    for name in ("value", "low", "high", "prediction_low", "prediction_high", "tau2", "i2", "q"):
        assert pooled[name] == pytest.approx(float(getattr(expected, name)), rel=1e-9), name
    assert pooled["tau"] == pytest.approx(pooled["tau2"] ** 0.5)
    assert pooled["n_studies"] == 3 and pooled["better"] == "higher"
    assert [one["weight"] for one in found["differences"]] == pytest.approx(expected.weights)


def test_records_have_the_fields_that_are_declared(survival: list[Path]) -> None:
    found = compare(survival)
    assert found.keys() == ComparedStudies.__required_keys__
    for name, kind in (
        ("studies", ComparedStudy),
        ("scores", Score),
        ("differences", Difference),
        ("pooled", PooledDifference),
    ):
        assert all(one.keys() == kind.__required_keys__ for one in found[name]), name


def test_by_default_the_rows_of_two_studies_or_more_are_pooled(survival: list[Path]) -> None:
    found = compare(survival)
    assert [one["model"] for one in found["rows"]] == ["snn", "survfuse"]
    assert [(one["model"], one["n_studies"]) for one in found["pooled"]] == [
        ("snn", 2),
        ("survfuse", 3),
    ]
    assert found["main"] == "survfuse"
    assert [one["sentence"] for one in found["left_out"]] == [
        "study2 is left out of snn: it has no row snn."
    ]
    assert found["reference"] == "clinical_cox"
    assert found["reference_label"] == LABELS["clinical_cox"]


def test_the_row_that_is_drawn_is_not_chosen_by_its_result(tmp_path: Path) -> None:
    for better in ("a_fusion", "b_fusion"):
        folders = [
            write_survival(
                tmp_path / better / f"s{number}",
                {name: folds(number, 0.1 * (name == better)) for name in ("a_fusion", "b_fusion")},
            )
            for number in range(2)
        ]
        assert compare(folders)["main"] == "a_fusion"
    assert compare(folders, ["b_fusion", "a_fusion"])["main"] == "b_fusion"


def test_the_oracle_of_a_simulation_is_no_row_to_pool(tmp_path: Path) -> None:
    rows = {"survfuse": folds(1, 0.02), "oracle": folds(2, 0.2)}
    folders = [write_survival(tmp_path / name, rows) for name in ("one", "two")]
    found = compare(folders)
    assert [one["model"] for one in found["rows"]] == ["survfuse"]
    assert all(one["simulated"] for one in found["studies"])


def test_scores_are_those_of_the_evaluations(survival: list[Path]) -> None:
    found = compare(survival, ["survfuse"])
    assert len(found["scores"]) == 2 * 3 * 4
    slope = next(one for one in found["scores"] if one["metric"] == "calibration_slope")
    assert (slope["horizon_months"], slope["value"]) == (24, 0.9)
    assert {one["horizon_months"] for one in found["scores"] if one is not slope} == {None, 24}


def test_two_studies_give_no_prediction_interval(survival: list[Path]) -> None:
    found = compare(survival[:2], ["survfuse"])
    [pooled] = found["pooled"]
    assert pooled["prediction_low"] is None and pooled["prediction_high"] is None
    assert any(note.startswith("Two studies give no prediction") for note in found["notes"])
    assert not any(note.startswith("Prediction intervals of few") for note in found["notes"])


def test_limits_are_those_of_what_a_difference_can_be(tmp_path: Path) -> None:
    """Two studies whose Student's t has one degree of freedom say nothing, but nothing absurd."""
    folders = [
        write_diagnosis(tmp_path / name, {"itcfn": (value, 0.05)}, counts=(40, 40, 40))
        for name, value in (("one", -0.2), ("two", 0.2))
    ]
    auroc, brier = compare(folders)["pooled"]
    assert (auroc["low"], auroc["high"]) == (-1, 1)
    assert -1 < brier["low"] < brier["high"] < 1


def test_few_studies_are_said_to_estimate_their_variance_poorly(tmp_path: Path) -> None:
    folders = [
        write_survival(tmp_path / f"s{number}", {"survfuse": folds(number, 0.02)})
        for number in range(10)
    ]
    few, enough = compare(folders[:9])["notes"], compare(folders)["notes"]
    assert any("With 9 studies the variance between studies is poorly estimated" in n for n in few)
    assert not any("poorly estimated" in note for note in enough)


def test_notes_on_small_studies_and_rows_that_are_not_alike(tmp_path: Path) -> None:
    small = write_survival(tmp_path / "small", {"survfuse": folds(1, 0.02, number=5)}, few=True)
    large = write_survival(tmp_path / "large", {"survfuse": folds(2, 0.02)})
    notes = compare([small, large])["notes"]
    assert any(note.startswith("small has too few events or cases for a verdict") for note in notes)
    assert any("as few as 4 degrees of freedom; small)" in note for note in notes)
    assert not any("is not the same in all studies" in note for note in notes)
    other = read_studies([small, large])
    other[0].evaluation["rows"][1]["modalities"] = ["slides"]  # type: ignore[index]
    assert (
        "The row survfuse is not the same in all studies: survfuse on slides in small; "
        "survfuse on clinical + omics in large."
    ) in compare_studies(other)["notes"]


def test_a_study_whose_difference_has_no_interval_is_left_out(tmp_path: Path) -> None:
    rows = {"survfuse": folds(1, 0.02)}
    folders = [write_survival(tmp_path / name, rows) for name in ("one", "two")]
    same = write_survival(tmp_path / "same", {"survfuse": [0.0] * 25})
    scarce = write_survival(tmp_path / "scarce", {"survfuse": [0.1, None, None, None, None]})
    found = compare([*folders, same, scarce])
    assert found["pooled"][0]["n_studies"] == 2
    assert [one["sentence"] for one in found["left_out"]] == [
        "same is left out of survfuse: survfuse and clinical_cox score the same in every fold, so "
        "there is no interval.",
        "scarce is left out of survfuse: only one fold could be scored, so there is no interval.",
    ]


def test_a_row_that_is_missing_everywhere_is_refused(survival: list[Path]) -> None:
    with pytest.raises(UserInputError, match="no study has a row 'survfus'; the rows of these"):
        compare(survival, ["survfus"])
    with pytest.raises(UserInputError, match="no study has a row 'cox'"):
        compare(survival, reference="cox")


def test_a_row_of_one_study_alone_cannot_be_pooled(survival: list[Path], tmp_path: Path) -> None:
    folders = [*survival[1:], write_survival(tmp_path / "more", {"survfuse": folds(4, 0)})]
    message = "no row can be pooled.*study2 is left out of snn.*only study1 has its difference"
    with pytest.raises(UserInputError, match=message):
        compare(folders, ["snn"])
    found = compare(folders, ["snn", "survfuse"])
    assert [one["model"] for one in found["rows"]] == ["survfuse"] and found["main"] == "survfuse"


def test_studies_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    folders = [
        write_survival(tmp_path / name, {name: folds(1, 0.02)}) for name in ("survfuse", "snn")
    ]
    with pytest.raises(UserInputError, match="no row beside the reference clinical_cox is in two"):
        compare(folders)


def test_references_must_agree(survival: list[Path], tmp_path: Path) -> None:
    other = write_survival(tmp_path / "age", {"survfuse": folds(5, 0)}, reference="age_alone")
    message = "clinical_cox in study0, .*, age_alone in age; name one that they share"
    with pytest.raises(UserInputError, match=message):
        compare([*survival, other])
    found = compare([*survival, other], ["survfuse"], "clinical_cox")
    assert [one["sentence"] for one in found["left_out"]] == [
        "age is left out of survfuse: it has no row clinical_cox."
    ]
    with pytest.raises(UserInputError, match="cannot be compared with itself"):
        compare(survival, ["clinical_cox"])


def test_rows_that_no_evaluation_compares_are_not_compared(survival: list[Path]) -> None:
    with pytest.raises(UserInputError, match="its evaluation does not compare survfuse with snn"):
        compare(survival, ["survfuse"], "snn")


def test_a_diagnosis_is_pooled_in_auroc_and_brier_score(tmp_path: Path) -> None:
    """Student's t of the rarer class behind the one, the normal distribution behind the other."""
    given = ((0.06, 0.02), (0.02, 0.03), (0.05, 0.04))
    folders = [
        write_diagnosis(tmp_path / f"clinic{number}", {"itcfn": one})
        for number, one in enumerate(given)
    ]
    found = compare(folders)
    auroc, brier = found["pooled"]
    assert (auroc["metric"], auroc["better"]) == ("auroc", "higher")
    assert (brier["metric"], brier["better"]) == ("brier", "lower")
    values, errors = np.array(given).T
    expected = random_effects(values, errors**2, 0.95)
    assert [auroc["value"], auroc["low"]] == pytest.approx([expected.value, expected.low])
    assert brier["value"] == pytest.approx(-auroc["value"] / 10)
    freedom = {one["metric"]: one["freedom"] for one in found["differences"]}
    assert freedom == {"auroc": 40, "brier": None}
    assert found["studies"][0]["n_events"] is None


def test_a_diagnosis_of_more_classes_is_pooled_in_the_mean_auroc(tmp_path: Path) -> None:
    folders = [
        write_diagnosis(tmp_path / name, {"itcfn": (0.05, 0.02)}, counts=(50, 30, 40))
        for name in ("one", "two")
    ]
    found = compare(folders)
    assert [one["metric"] for one in found["pooled"]] == ["macro_auroc", "brier"]
    assert found["differences"][0]["freedom"] == 29
    assert found["differences"][0]["standard_error"] == pytest.approx(0.02)
