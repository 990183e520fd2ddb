"""The risk of patients with a prediction: recalibrated, with an interval that holds it."""

from itertools import combinations

import numpy as np
import pytest

from evaluation_fixture import make_study, random_folds, simulate
from survfuse.artifacts.study import Study, SurvivalOutcome
from survfuse.evaluation.absolute_risk import LEAST_COMPLETE, Inputs, absolute_risks
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.kaplan_meier import observed_risk
from survfuse.statistics.metrics import HorizonError
from survfuse.statistics.recalibration import pseudo_values

READS = ("slides", "omics", "clinical")


def study_of(n: int, seed: int, repeats: int = 1) -> tuple[Study, np.ndarray]:
    """A study with its true log-hazards."""
    outcome, log_hazard = simulate(n, seed)
    ids = tuple(f"P{i}" for i in range(n))
    return Study(ids, outcome, random_folds(n, 5, repeats, seed)), log_hazard


def surviving(log_hazard: np.ndarray, months: float = 24.0) -> np.ndarray:
    return np.exp(-((months / 40) ** 1.3) * np.exp(log_hazard))


def test_pseudo_values_are_events_without_censoring_and_average_to_kaplan_meier() -> None:
    outcome, _ = simulate(60, 0)
    everything = SurvivalOutcome(outcome.time, np.ones(60))
    np.testing.assert_allclose(pseudo_values(everything, 20.0), everything.time <= 20, atol=1e-9)
    for months in (6.0, 12.0, 24.0):
        expected = observed_risk(outcome, months, 0.95).value
        assert pseudo_values(outcome, months).mean() == pytest.approx(expected, abs=1e-9)


def test_equal_predictions_get_kaplan_meier_and_its_interval() -> None:
    study, _ = study_of(120, 4)
    found = absolute_risks(study, np.full((1, 120), 0.3), 24.0, 0.95)
    expected = observed_risk(study.outcome, 24.0, 0.95)
    np.testing.assert_allclose(found.risk, expected.value, atol=1e-9)
    np.testing.assert_allclose(found.low, expected.low, atol=0.01)
    np.testing.assert_allclose(found.high, expected.high, atol=0.01)


def test_levels_of_folds_do_not_matter() -> None:
    """Every fold's model may lie as high or low as it likes."""
    study, log_hazard = study_of(150, 5)
    shifted = log_hazard.copy()
    for fold in study.folds:
        shifted[fold.test] += 0.2 * (fold.fold - 2)  # not so far that risks are cut off
    one, other = (
        absolute_risks(study, surviving(x)[None], 24.0, 0.95) for x in (log_hazard, shifted)
    )
    np.testing.assert_allclose(one.risk, other.risk, atol=0.02)


def test_predictions_that_rank_wrongly_get_the_risk_of_the_cohort() -> None:
    study, log_hazard = study_of(150, 6)
    found = absolute_risks(study, surviving(-log_hazard)[None], 24.0, 0.95)
    assert found.fit.slope == 0
    assert np.ptp(found.risk) < 1e-9
    assert abs(found.risk[0] - observed_risk(study.outcome, 24.0, 0.95).value) < 0.05
    assert (found.low < found.risk).all() and (found.risk < found.high).all()


def test_certain_predictions_do_not_outweigh_all_others() -> None:
    study, log_hazard = study_of(150, 7)
    survival = surviving(log_hazard)[None]
    survival[0, :3] = 1.0
    found = absolute_risks(study, survival, 24.0, 0.95)
    assert found.fit.slope > 0.5


def test_what_cannot_be_told_is_refused_with_its_reason() -> None:
    study = make_study(60)
    survival = np.full((1, 60), 0.5)
    with pytest.raises(HorizonError):
        absolute_risks(study, survival, 1000.0, 0.95)
    with pytest.raises(NotEstimableError, match="too few"):
        absolute_risks(study, survival, float(np.sort(study.outcome.time)[1]), 0.95)


def test_intervals_are_wider_with_every_subset_of_inputs() -> None:
    """One patient, hidden from step by step; the more is missing, the wider."""
    n = 200
    rng = np.random.default_rng(1)
    study, log_hazard = study_of(n, 8, repeats=2)
    parts = {name: 0.55 * log_hazard + 0.5 * rng.normal(size=n) for name in READS}

    def survival(ablated: frozenset[str]) -> np.ndarray:
        return np.tile(surviving(sum((parts[name] for name in ablated), np.zeros(n))), (2, 1))

    def width(there: frozenset[str]) -> float:
        has = np.ones((n, 3), dtype=bool)
        has[0] = [name in there for name in READS]
        seen = survival(frozenset(READS))
        seen[:, 0] = survival(there)[:, 0]
        ablated = {there: survival(there)} if 0 < len(there) < 3 else {}
        found = absolute_risks(study, seen, 24.0, 0.95, Inputs(READS, has), ablated)
        logs = [np.log(-np.log1p(-limit[0])) for limit in (found.low, found.high)]
        return float(logs[1] - logs[0])

    subsets = [frozenset(s) for size in range(4) for s in combinations(READS, size)]
    widths = {one: width(one) for one in subsets}
    for one, other in combinations(subsets, 2):
        if one < other:
            assert widths[one] > widths[other], (one, other)


def test_where_too_few_are_complete_nothing_is_known_of_what_is_missing() -> None:
    study, log_hazard = study_of(100, 9)
    has = np.ones((100, 2), dtype=bool)
    has[LEAST_COMPLETE - 1 :, 1] = False
    survival = surviving(log_hazard)[None]
    one = frozenset(["slides"])
    found = absolute_risks(
        study, survival, 24.0, 0.95, Inputs(("slides", "omics"), has), {one: survival**0.8}
    )
    assert found.input_effects[one].n == 0
    assert found.input_effects[one].variance == pytest.approx(found.eta.var())
    assert (found.low[50:] < found.as_is_low[50:]).all()
    np.testing.assert_array_equal(found.low[:5], found.as_is_low[:5])


def test_intervals_hold_the_risk_of_such_patients() -> None:
    """A small version of the benchmark: models that know a part of the log-hazard."""
    held = []
    for seed in range(60):
        rng = np.random.default_rng([seed, 1])
        study, log_hazard = study_of(150, seed + 100)
        blurred = log_hazard + rng.normal(size=150)
        found = absolute_risks(study, surviving(1.5 * blurred)[None], 24.0, 0.95)
        # Of patients with this value of `blurred` the log-hazard is normal.
        draws = 0.5 * blurred[:, None] + np.sqrt(0.5) * rng.normal(size=(150, 200))
        truth = 1 - surviving(draws).mean(axis=1)
        held.append(np.mean((found.low <= truth) & (truth <= found.high)))
    assert 0.88 < np.mean(held) <= 1
