"""The row `survfuse` as a whole: storage, calibration, noise, missing modalities, poor cohorts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator_fixture import ALONE, fit, predict
from inputs_fixture import bags_in, changed, genes_in, inputs_of
from survfuse.artifacts.checkpoint import FittedModel, ids_hash, read_fitted, write_fitted
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import Prediction
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.models.estimator import NothingToLearnError, PredictContext
from survfuse.models.registry import KINDS
from survfuse.models.specs import estimator_of
from survfuse.models.stacking.blocks import BlockColumns
from survfuse.models.stacking.partial_likelihood import PartialLikelihood
from survfuse.models.stacking.ridge_cox import newton
from survfuse.models.stacking.survfuse import FittedStack
from survfuse.splits.training_part import TrainingPart
from training_fixture import bag, cohort

READS = KINDS["survfuse"].reads
N, TRAINED = 130, 90


def configured(*modalities: str, **options: object) -> Config:
    """A configuration whose last row is a stack of some modalities, by default the usual ones."""
    if modalities:
        options["modalities"] = list(modalities)
    return Config.model_validate(
        {
            "name": "stack",
            "output": "unused",
            "cohort": {"patients": "unused.tsv", "covariates": {"age": {"type": "continuous"}}},
            "models": [
                {"name": "clinical_cox", "kind": "clinical_cox"},
                {"name": "survfuse", "kind": "survfuse", "options": options},
            ],
        }
    )


def part_of(ids: Sequence[str], time: np.ndarray, event: np.ndarray) -> TrainingPart:
    role = np.where(np.arange(len(ids)) % 4 == 3, "validation", "train")
    return TrainingPart(0, 0, np.array(ids), role, FollowUp(time, event))


def learned(
    inputs: CohortInputs,
    ids: Sequence[str],
    time: np.ndarray,
    event: np.ndarray,
    config: Config | None = None,
) -> FittedModel:
    config = config or configured()
    arrays, described = fit(config, config.models[-1], part_of(ids, time, event), inputs.only(ids))
    json.dumps(described, allow_nan=False)
    return FittedModel("survfuse", arrays, described)


def predicted(
    fitted: FittedModel, inputs: CohortInputs, ids: Sequence[str], config: Config | None = None
) -> Prediction:
    config = config or configured()
    found: Prediction = predict(config, config.models[-1], fitted, inputs, ids)
    return found


def concordance(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float:
    """Harrell's C-index."""
    first = event[:, None] & (time[:, None] < time[None])
    right = (risk[:, None] > risk[None]) + 0.5 * (risk[:, None] == risk[None])
    return float(right[first].mean())


@cache
def usual() -> tuple[CohortInputs, list[str], list[str], FittedModel]:
    """A cohort, its training patients and the others, and the stack of the former."""
    inputs, time, event = cohort(n=N)
    order = np.random.default_rng(0).permutation(N)  # the last patients lack modalities
    ids = [inputs.patients.index[row] for row in order]
    first = order[:TRAINED]
    fitted = learned(inputs, ids[:TRAINED], time[first], event[first])
    return inputs, ids[:TRAINED], ids[TRAINED:], fitted


def test_the_description_names_members_and_who_was_seen() -> None:
    _, train, _, fitted = usual()
    assert fitted.fit["modalities"] == list(READS)
    assert set(fitted.fit["fitted_on"].values()) == {ids_hash(train)}
    names = [member["name"] for member in fitted.fit["stack"]]
    blocks = ["rna", "gene-set means", "mean tile", "spread of tiles"]
    assert names == ["clinical", *blocks, "joint"]
    weights = [member["weight"] for member in fitted.fit["stack"]]
    assert min(weights) >= 0 < max(weights)
    assert not any("permuted" in key or "outcome" in key for key in fitted.arrays)


def test_a_stack_survives_storage(tmp_path: Path) -> None:
    inputs, _, test, fitted = usual()
    write_fitted(tmp_path, fitted.kind, fitted.arrays, fitted.fit)
    one, other = predicted(fitted, inputs, test), predicted(read_fitted(tmp_path), inputs, test)
    np.testing.assert_array_equal(one.risk, other.risk)
    np.testing.assert_array_equal(one.members, other.members)


def test_the_same_seed_gives_the_same_stack_and_another_fold_another() -> None:
    inputs, time, event = cohort(n=40)
    ids, config = inputs.patients.index.tolist(), configured("clinical", "omics")
    part = part_of(ids, time, event)
    one, same, other = (
        fit(config, config.models[-1], each, inputs)[0]
        for each in (part, part, replace(part, fold=1))
    )
    assert all((one[name] == same[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)


def test_curves_fall_from_1_and_end_with_the_follow_up() -> None:
    inputs, _, test, fitted = usual()
    found = predicted(fitted, inputs, test)
    last = fitted.arrays["baseline.times"][-1]
    grid = np.array(configured().grid_months())
    assert found.survival.shape == (len(test), len(grid))
    assert np.isnan(found.survival[:, grid > last]).all()
    known = found.survival[:, grid <= last]
    assert ((known >= 0) & (known <= 1)).all()
    assert (np.diff(known, axis=1) <= 1e-12).all()
    late = known[:, -1]
    assert (np.diff(late[np.argsort(found.risk)]) <= 1e-12).all()  # higher risk, lower curve


def test_what_blocks_add_sums_to_the_log_hazard_and_follows_the_slopes() -> None:
    inputs, _, test, fitted = usual()
    stack = FittedStack.from_stored(fitted.arrays, fitted.fit)
    blocks = stack.features.transform(inputs, test, configured())
    added = stack.contributions(blocks)
    assert not added[~blocks.has].any()
    np.testing.assert_allclose(added.sum(axis=1), predicted(fitted, inputs, test).risk)
    for place, slopes in enumerate(stack.slopes(blocks.has)):
        moved = [columns.copy() for columns in blocks.columns]
        moved[place][:, 0] += 1.0
        change = stack.contributions(BlockColumns(tuple(moved), blocks.has)) - added
        expected = np.zeros_like(added)
        expected[:, place] = slopes[:, 0]
        np.testing.assert_allclose(change, expected, atol=1e-9)


def test_patients_are_read_without_what_they_lack() -> None:
    inputs, _, test, fitted = usual()
    full = predicted(fitted, inputs, test)
    for number in range(1, len(READS) + 1):
        for lacking in combinations(READS, number):
            shown = inputs.without(dict.fromkeys(lacking, test))
            found = predicted(fitted, shown, test)
            assert np.isfinite(found.risk).all()
            assert (found.risk == 0).all() == (number == len(READS))
            half = predicted(fitted, inputs.without(dict.fromkeys(lacking, test[::2])), test)
            np.testing.assert_allclose(half.risk[::2], found.risk[::2])
            np.testing.assert_allclose(half.risk[1::2], full.risk[1::2])


def test_attention_is_shares_of_tiles_in_the_effect() -> None:
    inputs, _, test, fitted = usual()
    config = configured()
    row, lacking = config.models[-1], inputs.without({"slides": test[:1]})
    context = PredictContext(config, row, lacking, test, ALONE, "cpu", attention=True)
    found = estimator_of(row, config).predict(fitted, context)
    (shares,) = found.attention.values()
    assert len(shares[0]) == 0
    for patient, own in list(zip(test, shares, strict=True))[1:]:
        assert len(own) == (len(bags_in(inputs)[patient]) if patient in bags_in(inputs) else 0)
        assert len(own) == 0 or own.sum() == pytest.approx(1)
        assert (own >= 0).all()
    longest = max(shares, key=len)
    assert longest.std() > 0


def test_log_hazards_are_calibrated_on_independent_patients() -> None:
    slopes, ranks = list[float](), list[float]()
    for seed in range(4):
        inputs, time, event = cohort(n=500, seed=100 + seed, genes=30)
        ids = inputs.patients.index.tolist()
        fitted = learned(inputs, ids[:110], time[:110], event[:110], configured("omics", "slides"))
        risk = predicted(fitted, inputs, ids[110:], configured("omics", "slides")).risk
        late = time[110:], event[110:]
        likelihood = PartialLikelihood.of(*late)
        slope = newton(risk[:, None], likelihood, np.zeros(len(risk)), 0.0, np.zeros(1))
        slopes.append(float(slope[0]))
        ranks.append(concordance(*late, risk))
    assert 0.8 < np.mean(slopes) < 1.2
    assert np.mean(ranks) > 0.68


def test_from_permuted_outcomes_nothing_is_learned() -> None:
    ranks = list[float]()
    config = configured("clinical", "omics")
    for seed in range(6):
        inputs, time, event = cohort(n=240, seed=200 + seed)
        ids = inputs.patients.index.tolist()
        part = part_of(ids[:60], time[:60], event[:60]).permuted(seed)
        followed = part.outcome_as(FollowUp)
        fitted = learned(inputs, ids[:60], followed.time_months, followed.event, config)
        risk = predicted(fitted, inputs, ids[60:], config).risk
        ranks.append(concordance(time[60:], event[60:], risk))
    assert abs(np.mean(ranks) - 0.5) < 0.07


# Poor cohorts


def test_a_clinical_table_is_enough() -> None:
    inputs, time, event = cohort(n=40)
    ids = inputs.patients.index.tolist()
    alone = inputs_of(inputs.patients)
    fitted = learned(alone, ids, time, event)
    assert fitted.fit["modalities"] == ["clinical"]
    assert [member["name"] for member in fitted.fit["stack"]] == ["clinical"]
    assert np.isfinite(predicted(fitted, inputs, ids).risk).all()


@pytest.mark.parametrize("modality", ["omics", "slides"])
def test_a_modality_without_a_clinical_table_is_enough(modality: str) -> None:
    config = configured(modality)
    for seed in range(2):
        inputs, time, event = cohort(n=40, seed=seed)
        ids = inputs.patients.index.tolist()
        shuffled = np.random.default_rng(seed).permutation(40)  # of noise, mostly no block is used
        fitted = learned(inputs, ids, time[shuffled], event[shuffled], config)
        assert fitted.fit["modalities"] == [modality]
        assert np.isfinite(predicted(fitted, inputs, ids, config).risk).all()


@pytest.mark.parametrize("events", [0, 1, 2, 3])
def test_few_events_give_a_sentence_or_a_fit(events: int) -> None:
    inputs, time, _ = cohort(n=24)
    ids, config = inputs.patients.index.tolist(), configured("clinical", "omics")
    few = np.arange(24) < events
    if events < 2:
        with pytest.raises(NothingToLearnError, match="fewer than two"):
            learned(inputs, ids, time, few, config)
    else:
        fitted = learned(inputs, ids, time, few, config)
        assert np.isfinite(predicted(fitted, inputs, ids, config).risk).all()


def test_one_patient_with_slides_is_read_without_them() -> None:
    inputs, time, event = cohort(n=30)
    ids = inputs.patients.index.tolist()
    bags = {ids[0]: bags_in(inputs)[ids[0]]}
    genes = genes_in(inputs)
    assert genes is not None
    constant = replace(genes, values=np.ones_like(genes.values))
    poor = inputs_of(inputs.patients, bags, constant)
    fitted = learned(poor, ids, time, event)
    assert fitted.fit["modalities"] == ["clinical"]
    config = configured()
    context = PredictContext(config, config.models[-1], inputs, ids, ALONE, "cpu", attention=True)
    found = estimator_of(config.models[-1], config).predict(fitted, context)
    assert found.attention == {}
    assert np.isfinite(found.risk).all()


def test_tiles_whose_mean_does_not_vary_have_no_attention() -> None:
    inputs, time, event = cohort(n=30)
    ids = inputs.patients.index.tolist()
    generator = np.random.default_rng(0)
    bags = {
        patient: bag(generator.uniform(1, 3) * np.array([[-1.0], [1.0]]), patient)
        for patient in ids
    }
    config = configured("slides")
    fitted = learned(changed(inputs, bags=bags), ids, time, event, config)
    assert [block["name"] for block in fitted.fit["blocks"]] == ["spread of tiles"]
    context = PredictContext(
        *(config, config.models[-1], changed(inputs, bags=bags), ids, ALONE, "cpu"), attention=True
    )
    assert estimator_of(config.models[-1], config).predict(fitted, context).attention == {}


def test_nothing_that_varies_is_nothing_to_learn() -> None:
    inputs, time, event = cohort(n=20)
    ids = inputs.patients.index.tolist()
    constant = inputs_of(inputs.patients.assign(age="60"))
    with pytest.raises(NothingToLearnError, match="none of clinical"):
        learned(constant, ids, time, event, configured("clinical"))


def test_other_options_are_refused() -> None:
    config = configured(penalty=3)
    row = config.models[-1]
    with pytest.raises(UserInputError, match="penalty"):
        estimator_of(row, config).check(config, row)
    estimator_of(row, config).check(config, configured("omics").models[-1])


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(6, 20), st.integers(1, 3))
def test_small_cohorts_with_gaps_give_a_sentence_or_finite_risks(
    seed: int, n: int, genes: int
) -> None:
    generator = np.random.default_rng(seed)
    inputs, _, _ = cohort(n=24, genes=2 * genes, seed=seed % 1000)
    ids = inputs.patients.index.tolist()[:n]
    age = generator.choice(["", "50", "50", "61"], len(inputs.patients))
    table = pd.DataFrame({"age": age}, index=inputs.patients.index)
    lacking = [patient for patient in ids if generator.random() < 0.5]
    shown = inputs_of(table, None, genes_in(inputs)).without({"omics": lacking})
    time = generator.integers(1, 6, n).astype(float)
    event = generator.random(n) < generator.choice([0.2, 0.6, 1.0])
    try:
        fitted = learned(shown, ids, time, event)
    except NothingToLearnError as error:
        assert "training patients" in str(error)
        return
    found = predicted(fitted, inputs, inputs.patients.index.tolist())
    assert np.isfinite(found.risk).all()
    assert (np.isnan(found.survival) | ((found.survival >= 0) & (found.survival <= 1))).all()
