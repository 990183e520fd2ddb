"""What modalities contribute, what is stored of explanations, and the summary over the cohort."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from sksurv.metrics import concordance_index_censored

from evaluation_fixture import make_study
from explanation_fixture import COVARIATES, GROUPS, explained
from survfuse.artifacts.explanations import (
    FoldExplanation,
    find_patient,
    read_explanations,
    write_explanations,
)
from survfuse.artifacts.study import Study
from survfuse.core.errors import UserInputError
from survfuse.evaluation.contribution import (
    concordance_drops,
    contributions,
    percentile_ranks,
    permutation_effect,
)
from survfuse.evaluation.explained import aligned, summarise


@pytest.fixture(scope="module")
def study() -> Study:
    return make_study(100, folds=5)


def test_reliance_by_hand() -> None:
    own = np.array([1.0, 2.0, 3.0])
    permuted = np.array([[0.0, 5.0, np.nan], [3.0, 3.0, np.nan]])
    found = permutation_effect(own, permuted)
    np.testing.assert_array_equal(found.moved, [1.5, 2.0, np.nan])
    np.testing.assert_array_equal(found.raised, [-0.5, -2.0, np.nan])


def test_places_by_hand() -> None:
    risk = np.array([1.0, 2.0, 2.0, 4.0, 5.0])
    np.testing.assert_array_equal(percentile_ranks(risk, risk), [0.0, 37.5, 37.5, 75.0, 100.0])
    moved = percentile_ranks(np.array([[9.0, 0.0, np.nan, 2.0, 4.5]]), risk)
    np.testing.assert_array_equal(moved, [[100.0, 0.0, np.nan, 50.0, 100.0]])


def test_places_do_not_depend_on_the_scale_of_the_risk() -> None:
    rng = np.random.default_rng(0)
    risk, values = rng.normal(size=20), rng.normal(size=(3, 20))
    np.testing.assert_array_equal(
        percentile_ranks(np.exp(values), np.exp(risk)), percentile_ranks(values, risk)
    )


def test_the_drop_is_a_difference_of_concordances(study: Study) -> None:
    folds = explained(study)
    drops = concordance_drops(study, folds, "omics")
    fold, one = study.folds[1], folds[1]
    outcome = study.outcome[fold.test]

    def c(risk: np.ndarray) -> float:
        return concordance_index_censored(outcome.event, outcome.time, risk)[0]

    broken = [c(np.r_[one.risk[0], draw[1:]]) for draw in one.permuted["omics"]]
    assert drops.values[1] == pytest.approx(c(one.risk) - np.mean(broken), abs=1e-12)


def test_what_predicts_is_what_is_lost(study: Study) -> None:
    """Slides hold the order of survival, genes nothing: C falls by exchanging slides alone."""
    found = contributions(study, explained(study, slides=20.0, genes=0.3), 0.95)
    slides, genes = found["slides"], found["omics"]
    assert slides["low"] > 0.2
    assert genes["low"] < 0.02
    assert len(slides["per_fold"]) == 5
    assert abs(genes["value"]) < 0.05


def test_an_unused_modality_contributes_exactly_nothing(study: Study) -> None:
    found = contributions(study, explained(study, slides=0.0), 0.95)["slides"]
    assert (found["value"], found["low"], found["high"]) == (0.0, 0.0, 0.0)


def test_the_order_of_patients_in_the_file_is_irrelevant(study: Study) -> None:
    def reversed_rows(one: FoldExplanation) -> FoldExplanation:
        return replace(
            one,
            patient_ids=one.patient_ids[::-1],
            risk=one.risk[::-1],
            permuted={m: values[:, ::-1] for m, values in one.permuted.items()},
        )

    folds = explained(study)
    backwards = [reversed_rows(one) for one in folds[::-1]]
    for modality in ("slides", "omics"):
        expected = concordance_drops(study, folds, modality).values
        found = concordance_drops(study, backwards, modality).values
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_folds_without_explanations_are_left_out(study: Study) -> None:
    folds = explained(study)
    folds[0] = replace(folds[0], permuted={"slides": folds[0].permuted["slides"]})
    found = contributions(study, folds[:3], 0.95)
    assert [value is None for value in found["slides"]["per_fold"]] == [False] * 3 + [True] * 2
    assert [value is None for value in found["omics"]["per_fold"]][:3] == [True, False, False]


def test_explanations_of_other_splits_are_refused(study: Study) -> None:
    with pytest.raises(UserInputError, match="other patients than the splits"):
        concordance_drops(make_study(100, folds=5, seed=9), explained(study), "slides")


def test_the_gap_is_what_attributions_leave_open(study: Study) -> None:
    one = explained(study)[0]
    np.testing.assert_allclose(one.gap, 0.0, atol=1e-12)
    np.testing.assert_allclose(replace(one, risk=one.risk + 0.5).gap, 0.5)
    only_slides = replace(one, attribution={}, risk=one.at_average)
    np.testing.assert_allclose(only_slides.gap, np.zeros(len(one.patient_ids)))


def test_patients_are_found_in_their_fold(study: Study) -> None:
    folds = explained(study)
    one, row = find_patient(folds, study.patient_ids[17])
    assert one.patient_ids[row] == study.patient_ids[17]
    assert find_patient(folds, "nobody") is None


def test_files_give_back_what_was_written(study: Study, tmp_path: Path) -> None:
    folds = explained(study)
    path = tmp_path / "model.explain.h5"
    write_explanations(path, folds)
    for one, again in zip(folds, read_explanations(path), strict=True):
        assert (again.repeat, again.fold, again.members) == (one.repeat, one.fold, one.members)
        assert (again.patient_ids, again.names) == (one.patient_ids, one.names)
        np.testing.assert_array_equal(again.risk, one.risk)
        np.testing.assert_array_equal(again.at_average, one.at_average)
        np.testing.assert_allclose(again.group_attention, one.group_attention, rtol=1e-6)
        for name in ("attribution", "same_sign", "permuted", "attention_agreement"):
            stored, written = getattr(again, name), getattr(one, name)
            assert list(stored) == list(written)
            for key, values in written.items():
                np.testing.assert_allclose(stored[key], values, rtol=1e-6)
    assert [child.name for child in tmp_path.iterdir()] == ["model.explain.h5"]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"none\.h5: no such file"):
        read_explanations(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(UserInputError, match=r"text\.h5: not readable"):
        read_explanations(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("P001")
    with pytest.raises(UserInputError, match=r"other\.h5: not readable"):
        read_explanations(tmp_path / "other.h5")


def test_the_summary_finds_the_groups_that_every_fold_uses(study: Study) -> None:
    found = summarise(study, explained(study), 0.95)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    genes = found["stability"]["omics"]
    assert (genes["folds"], genes["parts"], genes["top"]) == (5, len(GROUPS), 6)
    assert 3 <= genes["shared"] < 5  # three groups are real, the others drawn anew in every fold
    assert found["attention_agreement"] == {"slides": pytest.approx(0.25)}
    assert set(found["stability"]) == {"omics", "clinical", "attention"}


def test_covariates_that_a_fold_did_not_read_count_as_zero(study: Study) -> None:
    one, two = explained(study)[:2]
    age = two.attribution["clinical"][:, [0]]
    two = replace(
        two, names={"clinical": COVARIATES[:1]}, attribution={"clinical": age}, same_sign={}
    )
    first, second = aligned([one, two], "clinical")
    np.testing.assert_array_equal(first, one.attribution["clinical"])
    np.testing.assert_array_equal(second, np.c_[age, np.zeros(len(age))])


def test_a_model_of_slides_alone_has_no_gene_stability(study: Study) -> None:
    folds = [
        replace(one, names={}, attribution={}, same_sign={}, group_attention=np.zeros((20, 0)))
        for one in explained(study)
    ]
    assert summarise(study, folds, 0.95)["stability"] == {}


def test_reading_explanations_does_not_import_torch() -> None:
    code = (
        "import sys, survfuse.evaluation.explained, survfuse.reporting.sections.explanations; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
