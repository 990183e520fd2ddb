"""The row `survfuse` for a diagnosis as a whole: storage, calibration, missing modalities."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from estimator_fixture import ALONE, fit, predict
from inputs_fixture import bags_in
from survfuse.artifacts.checkpoint import FittedModel, ids_hash, read_fitted, write_fitted
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import ClassPrediction
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.models.estimator import NothingToLearnError, PredictContext
from survfuse.models.registry import KINDS
from survfuse.models.specs import estimator_of
from survfuse.models.stacking.blocks import BlockFeatures
from survfuse.models.stacking.class_stack import FittedClasses
from survfuse.splits.training_part import TrainingPart
from survfuse.statistics.proportions import youden_threshold
from survfuse.tasks.diagnosis.classes import UNKNOWN, conversion_label
from survfuse.tasks.diagnosis.outcomes import Classes
from training_fixture import cohort

READS = KINDS["survfuse"].reads
N, TRAINED = 190, 150


def configured(classes: int, *modalities: str, **options: object) -> Config:
    """A configuration whose last row is a stack of some modalities, by default the usual ones."""
    if modalities:
        options["modalities"] = list(modalities)
    return Config.model_validate(
        {
            "name": "stack",
            "output": "unused",
            "cohort": {
                "patients": "unused.tsv",
                "covariates": {"age": {"type": "continuous"}},
                "diagnosis": {"column": "group", "classes": ["a", "b", "c"][:classes]},
            },
            "models": [
                {"name": "logistic", "kind": "logistic"},
                {"name": "survfuse", "kind": "survfuse", "options": options},
            ],
            "evaluation": {"reference": "logistic"},
        }
    )


def part_of(ids: list[str], label: np.ndarray) -> TrainingPart:
    role = np.where(np.arange(len(ids)) % 4 == 3, "validation", "train")
    return TrainingPart(0, 0, np.array(ids), role, Classes(label, tuple("ABC"[: label.max() + 1])))


def learned(inputs: CohortInputs, part: TrainingPart, config: Config) -> FittedModel:
    shown = inputs.only(part.patient_ids.tolist())
    arrays, described = fit(config, config.models[-1], part, shown)
    json.dumps(described, allow_nan=False)
    return FittedModel("survfuse", arrays, described)


def predicted(
    fitted: FittedModel, inputs: CohortInputs, ids: list[str], config: Config
) -> ClassPrediction:
    found: ClassPrediction = predict(config, config.models[-1], fitted, inputs, ids)
    return found


def labelled(time: np.ndarray, classes: int) -> np.ndarray:
    """(n,) classes by how early the event is, of about equal size; the earliest are the last."""
    edges = np.quantile(time, np.arange(1, classes) / classes)
    label: np.ndarray = classes - 1 - np.digitize(time, edges)
    return label.astype(np.int64)


@cache
def usual(
    classes: int,
) -> tuple[CohortInputs, np.ndarray, TrainingPart, list[str], FittedModel]:
    """A cohort, classes, its training part, the other patients, and the stack of the former."""
    inputs, time, _ = cohort(n=N)
    order = np.random.default_rng(0).permutation(N)  # the last patients lack modalities
    ids = [inputs.patients.index[row] for row in order]
    label = labelled(time, classes)[order]
    shown = np.where(np.arange(N) % 10 == 9, UNKNOWN, label)
    part = part_of(ids[:TRAINED], shown[:TRAINED])
    fitted = learned(inputs, part, configured(classes))
    return inputs, label[TRAINED:], part, ids[TRAINED:], fitted


@pytest.mark.parametrize("classes", [2, 3])
def test_a_stack_names_its_members_finds_the_classes_and_survives_storage(
    classes: int, tmp_path: Path
) -> None:
    inputs, label, part, test, fitted = usual(classes)
    assert fitted.fit["modalities"] == list(READS)
    assert set(fitted.fit["fitted_on"].values()) == {ids_hash(part.patient_ids.tolist())}
    names = [member["name"] for member in fitted.fit["stack"]]
    blocks = ["rna", "gene-set means", "mean tile", "spread of tiles"]
    assert names == ["clinical", *blocks, "joint"]
    assert all(member["effect"] >= 0 <= member["weight"] for member in fitted.fit["stack"])
    assert max(member["effect"] for member in fitted.fit["stack"]) > 0.2
    found = predicted(fitted, inputs, test, configured(classes))
    assert found.members.shape == (1, len(test), classes)
    np.testing.assert_allclose(found.probability.sum(axis=1), 1)
    assert (found.probability.argmax(axis=1) == label).mean() > 1.5 / classes
    assert not found.synthesised.any()
    assert np.isnan(found.threshold) == (classes > 2)
    assert classes > 2 or 0.2 < found.threshold < 0.8
    write_fitted(tmp_path, fitted.kind, fitted.arrays, fitted.fit)
    again = predicted(read_fitted(tmp_path), inputs, test, configured(classes))
    np.testing.assert_array_equal(again.members, found.members)


@pytest.mark.parametrize("classes", [2, 3])
def test_slopes_are_by_how_much_linear_predictors_change(classes: int) -> None:
    inputs, _, _, test, fitted = usual(classes)
    features = BlockFeatures.from_stored(fitted.arrays, fitted.fit)
    stack = FittedClasses.from_arrays(fitted.under("stack."))
    blocks = features.transform(inputs, test, configured(classes))
    slopes = stack.slopes(blocks.has)
    place = [block.name for block in features.blocks].index("mean tile")
    columns = list(blocks.columns)
    there = blocks.has[:, [place]]
    columns[place] = columns[place] + 0.5 * there  # interactions stay as they are
    more = replace(blocks, columns=tuple(columns))
    change = np.log(stack.probability(more)) - np.log(stack.probability(blocks))
    change -= change[:, :1] if classes == 2 else change.mean(axis=1, keepdims=True)
    told = change[:, 1:] if classes == 2 else change
    np.testing.assert_allclose(told, 0.5 * slopes[place].sum(axis=1), atol=1e-9)
    assert np.abs(told).max() > 1e-3


@pytest.mark.parametrize("classes", [2, 3])
def test_attention_is_shares_of_tiles_in_the_effect(classes: int) -> None:
    inputs, _, _, test, fitted = usual(classes)
    config, lacking = configured(classes), inputs.without({"slides": test[:1]})
    row = config.models[-1]
    assert predicted(fitted, inputs, test, config).attention == {}
    context = PredictContext(config, row, lacking, test, ALONE, "cpu", attention=True)
    (shares,) = estimator_of(row, config).predict(fitted, context).attention.values()
    assert len(shares[0]) == 0
    for patient, own in list(zip(test, shares, strict=True))[1:]:
        assert len(own) == (len(bags_in(inputs)[patient]) if patient in bags_in(inputs) else 0)
        assert len(own) == 0 or (own.sum() == pytest.approx(1) and own.min() >= 0)
    assert max(own.std() for own in shares if len(own)) > 0


def test_patients_are_read_without_what_they_lack() -> None:
    inputs, _, part, test, fitted = usual(2)
    config = configured(2)
    full = predicted(fitted, inputs, test, config).probability
    share = (part.outcome.label[part.outcome.label != UNKNOWN] == 1).mean()
    for number in range(1, len(READS) + 1):
        for lacking in combinations(READS, number):
            shown = inputs.without(dict.fromkeys(lacking, test))
            found = predicted(fitted, shown, test, config).probability
            assert np.isfinite(found).all()
            if number == len(READS):  # of whom nothing is known, the average is told
                np.testing.assert_allclose(found[:, 1], share, atol=1e-5)
            half = inputs.without(dict.fromkeys(lacking, test[::2]))
            mixed = predicted(fitted, half, test, config).probability
            np.testing.assert_allclose(mixed[::2], found[::2])
            np.testing.assert_allclose(mixed[1::2], full[1::2])


def test_held_out_predictions_come_from_members_without_the_validation_patients() -> None:
    """Swapped labels of two of them move the usual members, and not the others."""
    inputs, _, part, test, fitted = usual(2)
    config = configured(2)
    validation = part.role == "validation"
    swapped = part.outcome.label.copy()
    one, other = (np.flatnonzero(validation & (part.outcome.label == kind))[0] for kind in (0, 1))
    swapped[[one, other]] = swapped[[other, one]]
    again = learned(inputs, replace(part, outcome=replace(part.outcome, label=swapped)), config)
    for name, values in fitted.arrays.items():
        if name.startswith("held_out.members."):
            np.testing.assert_array_equal(again.arrays[name], values)
    assert (again.arrays["stack.members.0"] != fitted.arrays["stack.members.0"]).any()
    row = config.models[-1]
    context = PredictContext(config, row, inputs, test, ALONE, "cpu", held_out=True)
    held_out = estimator_of(row, config).predict(fitted, context)
    assert isinstance(held_out, ClassPrediction)
    told = predicted(fitted, inputs, test, config)
    assert np.abs(held_out.probability - told.probability).max() > 1e-3
    assert held_out.threshold == told.threshold


def test_probabilities_are_calibrated_on_independent_patients() -> None:
    """Also at a horizon, where known patients are enriched with cases, and weights undo it."""
    excess, enriched = list[float](), list[float]()
    for seed in range(2):
        inputs, time, event = cohort(n=600, seed=300 + seed, genes=30)
        ids = inputs.patients.index.tolist()
        config = configured(2, "omics", "slides")
        label = conversion_label(time, event, 24.0)
        followed = FollowUp(time[:200], event[:200])
        classes = Classes(label[:200], ("A", "B"), followed, horizon_months=24.0)
        part = replace(part_of(ids[:200], label[:200]), outcome=classes)
        said = predicted(learned(inputs, part, config), inputs, ids[200:], config).probability
        followed = FollowUp(time[200:], event[200:])
        weight = Classes(label[200:], ("A", "B"), followed, horizon_months=24.0).weight()
        known = label[200:] != UNKNOWN
        observed = np.average(label[200:][known] == 1, weights=weight[known])
        excess.append(float(said[:, 1].mean() - observed))
        enriched.append(float((label[200:][known] == 1).mean() - observed))
        for low in (True, False):  # those with low and with high estimates
            half = (said[:, 1] < np.median(said[:, 1])) == low
            own = known & half
            seen = np.average(label[200:][own] == 1, weights=weight[own])
            assert abs(said[half, 1].mean() - seen) < 0.1
    assert abs(np.mean(excess)) < 0.05
    assert np.mean(enriched) > 0.01


def test_the_threshold_is_not_that_of_estimates_of_learned_patients() -> None:
    """In those it would separate too well."""
    inputs, _, part, _, fitted = usual(2)
    known = part.outcome.label != UNKNOWN
    said = predicted(fitted, inputs, part.patient_ids[known].tolist(), configured(2))
    own = youden_threshold(
        said.probability[:, 1], part.outcome.label[known] == 1, np.ones(known.sum())
    )
    assert own != said.threshold


def test_one_class_is_nothing_to_learn() -> None:
    inputs, *_ = cohort(n=24)
    ids = inputs.patients.index.tolist()
    config = configured(2, "clinical", "omics")
    few = (np.arange(24) == 3).astype(np.int64)
    with pytest.raises(NothingToLearnError, match="fewer than two training patients"):
        learned(inputs, part_of(ids, few), config)
    few[8] = 1
    fitted = learned(inputs, part_of(ids, few), config)
    assert np.isfinite(predicted(fitted, inputs, ids, config).probability).all()


def test_other_options_are_refused() -> None:
    config = configured(2, penalty=3)
    row = config.models[-1]
    with pytest.raises(UserInputError, match="penalty"):
        estimator_of(row, config).check(config, row)
    estimator_of(row, config).check(config, configured(2, "omics").models[-1])
