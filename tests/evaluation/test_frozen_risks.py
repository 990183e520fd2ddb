"""Risks of new patients, from what a study knows of its models."""

from __future__ import annotations

import json

import numpy as np
import pytest

from survfuse.artifacts.study import Fold, Study, SurvivalOutcome
from survfuse.evaluation.absolute_risk import Inputs, absolute_risks
from survfuse.evaluation.frozen_risks import FrozenRisks, freeze_risks

MONTHS, FOLDS = 24.0, 5


def study_of(n: int, seed: int) -> tuple[Study, np.ndarray]:
    """A study whose patients have the true log-hazard eta (n,), and follow-up by it."""
    draw = np.random.default_rng(seed)
    eta = draw.normal(0, 0.8, n)
    time = draw.exponential(30 * np.exp(-eta))
    censored = draw.uniform(20, 70, n)
    number = np.arange(n) % FOLDS
    folds = tuple(
        Fold(0, fold, np.flatnonzero(number != fold), np.flatnonzero(number == fold))
        for fold in range(FOLDS)
    )
    outcome = SurvivalOutcome(np.minimum(time, censored), time <= censored)
    return Study(tuple(f"P{i}" for i in range(n)), outcome, folds), eta


def survival_of(eta: np.ndarray, level: float = 0.0) -> np.ndarray:
    """What a model of the right slope says, whose level is off."""
    return np.exp(-np.exp(level + eta) * MONTHS / 30)


def frozen(study: Study, eta: np.ndarray, inputs: Inputs | None, ablated=None) -> FrozenRisks:
    return freeze_risks(study, survival_of(eta)[None], MONTHS, 0.95, inputs, ablated)


def test_patients_of_the_study_get_its_estimates() -> None:
    study, eta = study_of(300, 1)
    has = np.ones((300, 1), dtype=bool)
    inputs = Inputs(("clinical",), has)
    kept = frozen(study, eta, inputs)
    expected = absolute_risks(study, survival_of(eta)[None], MONTHS, 0.95, inputs)
    # All models agree, so that each of them less its own mean is the same up to that mean.
    found = kept.risks(
        {name: survival_of(eta) for name in kept.fold_means}, {"clinical": has[:, 0]}
    )
    means = np.array(list(kept.fold_means.values()))
    assert np.abs(found.risk - expected.risk).max() < np.ptp(means) * kept.fit.slope
    assert np.array_equal(found.low, found.as_is_low)


def test_a_model_of_another_level_says_the_same() -> None:
    study, eta = study_of(300, 2)
    inputs = Inputs(("clinical",), np.ones((300, 1), dtype=bool))
    kept = frozen(study, eta, inputs)
    shifted = freeze_risks(study, survival_of(eta, -0.4)[None], MONTHS, 0.95, inputs, None)
    new, has = np.linspace(-1, 1, 7), {"clinical": np.ones(7, dtype=bool)}
    one = kept.risks(dict.fromkeys(kept.fold_means, survival_of(new)), has)
    other = shifted.risks(dict.fromkeys(kept.fold_means, survival_of(new, -0.4)), has)
    assert np.allclose(one.risk, other.risk, atol=1e-3)  # but for the limits of what n can tell


def test_it_is_the_same_from_a_file() -> None:
    study, eta = study_of(200, 3)
    has = np.random.default_rng(0).random((200, 2)) < 0.8
    alone = np.where(has[:, 0], survival_of(0.5 * eta), np.nan)[None]
    inputs = Inputs(("clinical", "omics"), has)
    kept = frozen(study, eta, inputs, {frozenset({"clinical"}): alone})
    again = FrozenRisks.from_json(json.loads(json.dumps(kept.as_json())))
    new = {name: survival_of(eta[:9]) for name in kept.fold_means}
    present = {"clinical": np.ones(9, dtype=bool), "omics": np.arange(9) > 4}
    for name, values in vars(kept.risks(new, present)).items():
        assert np.array_equal(values, getattr(again.risks(new, present), name))


def test_missing_inputs_widen_the_interval_and_nothing_known_is_the_average() -> None:
    study, eta = study_of(400, 4)
    has = np.ones((400, 2), dtype=bool)
    has[::5, 1] = False
    inputs = Inputs(("clinical", "omics"), has)
    ablated = {frozenset({"clinical"}): survival_of(0.5 * eta)[None]}
    kept = frozen(study, eta, inputs, ablated)
    new = dict.fromkeys(kept.fold_means, survival_of(np.full(3, 0.3)))
    present = {"clinical": np.array([1, 1, 0], bool), "omics": np.array([1, 0, 0], bool)}
    found = kept.risks(new, present)
    width, as_is = found.high - found.low, found.as_is_high - found.as_is_low
    assert width[0] == as_is[0] and width[1] > as_is[1] * 1.2
    assert found.risk[2] == pytest.approx(-np.expm1(-np.exp(kept.fit.intercept)))


def test_nobody_is_placed_beyond_the_study() -> None:
    study, eta = study_of(300, 5)
    inputs = Inputs(("clinical",), np.ones((300, 1), dtype=bool))
    kept = frozen(study, eta, inputs)
    new = np.array([-30.0, 0.0, 30.0])
    found = kept.risks(
        dict.fromkeys(kept.fold_means, survival_of(new)), {"clinical": np.ones(3, dtype=bool)}
    )
    assert found.beyond.tolist() == [True, False, True]
    assert found.risk[2] == pytest.approx(-np.expm1(-np.exp(kept.fit.log_hazard(kept.highest))))


def test_intervals_cover_the_risk_of_new_patients() -> None:
    """Of models that are right up to level and slope: 95 of 100 intervals hold the true risk."""
    new = np.linspace(-1.2, 1.2, 5)
    true = 1 - survival_of(new)
    covered = []
    for seed in range(120):
        study, eta = study_of(250, 1000 + seed)
        kept = frozen(study, 1.5 * eta, Inputs(("clinical",), np.ones((250, 1), dtype=bool)))
        has = {"clinical": np.ones(5, dtype=bool)}
        found = kept.risks(dict.fromkeys(kept.fold_means, survival_of(1.5 * new)), has)
        covered.append((found.low <= true) & (true <= found.high))
    assert np.mean(covered) >= 0.93
