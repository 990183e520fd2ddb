"""The lower bound on survival time: by hand, against lifelines, and on simulated patients."""

import json

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.intervals import Estimate
from survfuse.statistics.new_patients.conformal_survival import (
    CoverageCheck,
    Method,
    SurvivalBound,
    bound_months,
    calibrate,
    calibration_values,
    censoring_gate,
    check_coverage,
    level,
)

GRID = np.arange(1.0, 61.0)
METHODS: tuple[Method, ...] = ("observed_time", "ipcw")


def simulated(
    n: int, seed: int, censoring_shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray, SurvivalOutcome]:
    """Covariates (n, 2), log-hazards, and exponential times of 20 months censored after 40."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    event = 20 * rng.exponential(size=n) * np.exp(-x[:, 0])
    censored = 40 * rng.exponential(size=n) * np.exp(censoring_shift * x[:, 1])
    return x, x[:, 0], SurvivalOutcome(np.minimum(event, censored), event <= censored)


def true_curves(log_hazard: np.ndarray) -> np.ndarray:
    return np.exp(-np.exp(log_hazard)[:, None] * GRID / 20)


def test_observed_time_takes_the_value_of_that_rank() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1, 20) / 20)
    outcome = SurvivalOutcome(np.arange(19.0), np.zeros(19))
    assert level(values, outcome, 0.1, "observed_time") == 0.1  # floor(0.1 * 20) = 2nd smallest
    assert level(values, outcome, 0.14, "observed_time") == 0.1
    assert level(values, outcome, 0.15, "observed_time") == 0.15
    assert level(values, outcome, 0.049, "observed_time") == 0  # floor(0.98) = 0


def test_ipcw_by_hand() -> None:
    # G(t-) is 1 up to 2 months, then 3/4, then 3/8: weights 1, 0, 4/3, 0, 8/3.
    outcome = SurvivalOutcome(np.array([1, 2, 3, 4, 5]), np.array([1, 0, 1, 0, 1]))
    values = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    # Below 0.3 lies weight 1, and 1 of the new patient: 2 of 6; below 0.5 it is 10 / 3.
    assert level(values, outcome, 2 / 6, "ipcw") == 0.3
    assert level(values, outcome, 1.99 / 6, "ipcw") == 0.1
    assert level(values, outcome, 3.34 / 6, "ipcw") == 0.5
    assert level(values, outcome, 0.16, "ipcw") == 0


def test_nothing_is_known_beyond_the_last_value() -> None:
    outcome = SurvivalOutcome(np.array([1, 2, 3, 4, 5]), np.array([1, 0, 0, 0, 0]))
    assert level(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), outcome, 0.8, "ipcw") == 0.5


def test_both_methods_agree_without_censoring() -> None:
    rng = np.random.default_rng(3)
    outcome = SurvivalOutcome(rng.exponential(size=80), np.ones(80))
    values = rng.random(80)
    for alpha in (0.05, 0.1, 0.33):
        observed, weighted = (level(values, outcome, alpha, method) for method in METHODS)
        assert observed == weighted


@pytest.mark.parametrize("method", METHODS)
def test_the_level_does_not_depend_on_the_order_of_patients(method: Method) -> None:
    _, log_hazard, outcome = simulated(90, 4)
    values = calibration_values(GRID, true_curves(log_hazard), outcome.time)
    order = np.random.default_rng(0).permutation(90)
    assert level(values[order], outcome[order], 0.1, method) == pytest.approx(
        level(values, outcome, 0.1, method), abs=1e-12
    )


def test_an_exponential_curve_is_read_exactly() -> None:
    hazard = 0.03
    curve = np.exp(-hazard * GRID)
    for tau in (0.01, 0.1, 0.5):
        assert bound_months(GRID, curve, tau) == pytest.approx(-np.log(1 - tau) / hazard)
    times = np.array([0.0, 0.4, 7.3, 59.9])
    values = calibration_values(GRID, np.tile(curve, (4, 1)), times)
    assert values == pytest.approx(1 - np.exp(-hazard * times), abs=1e-12)


def test_the_bound_inverts_the_calibration_value() -> None:
    rng = np.random.default_rng(2)
    curve = np.exp(-np.cumsum(rng.exponential(size=60)) / 30)
    for months in (0.5, 1.0, 13.7, 58.0):
        value = calibration_values(GRID, curve[None], np.array([months]))[0]
        assert bound_months(GRID, curve, value) == pytest.approx(months)


def test_ends_of_curves() -> None:
    curve = np.array([0.9, 0.9, 0.8, np.nan])
    grid = np.array([10.0, 20.0, 30.0, 40.0])
    assert bound_months(grid, curve, 0.1) == pytest.approx(10)  # the first time, not the last
    assert bound_months(grid, curve, 0.2 - 1e-12) == pytest.approx(30)
    assert bound_months(grid, curve, 0.21) is None
    assert bound_months(grid, curve, 1.0) is None
    assert bound_months(grid, curve, 0.0) == 0
    assert bound_months(np.r_[0, grid], np.r_[1, curve], 0.05) == pytest.approx(
        bound_months(grid, curve, 0.05)
    )
    values = calibration_values(grid, np.tile(curve, (3, 1)), np.array([29.9, 30.0, 50.0]))
    assert 0.19 < values[0] < 0.2 and values[1:].tolist() == [1, 1]
    assert bound_months(grid, np.array([0.5, 0.0, 0.0, 0.0]), 0.9) == pytest.approx(10, abs=0.1)


def test_the_gate_is_lifelines_test_of_the_censoring() -> None:
    x, _, outcome = simulated(150, 5, censoring_shift=0.3)
    frame = pd.DataFrame(x).assign(time=outcome.time, censored=~outcome.event)
    expected = CoxPHFitter().fit(frame, "time", "censored").log_likelihood_ratio_test().p_value
    assert censoring_gate(outcome, x) == pytest.approx(float(expected), rel=1e-4)
    doubled = np.c_[5 + 3 * x, x[:, 0] - x[:, 1], np.ones(150)]
    assert censoring_gate(outcome, doubled) == pytest.approx(float(expected), rel=1e-4)


def test_the_gate_chooses_the_method() -> None:
    x, log_hazard, outcome = simulated(300, 6, censoring_shift=1.0)
    values = calibration_values(GRID, true_curves(log_hazard), outcome.time)
    dependent = calibrate(values, outcome, x, 0.1)
    assert dependent.method == "observed_time" and dependent.gate_p < 1e-4
    assert dependent.tau == level(values, outcome, 0.1, "observed_time")
    noise = np.random.default_rng(1).normal(size=(300, 2))
    free = calibrate(values, outcome, noise, 0.1)
    assert free.method == "ipcw" and free.gate_p > 0.05
    assert free.tau == level(values, outcome, 0.1, "ipcw") > dependent.tau


def test_a_gate_that_cannot_tell_falls_back() -> None:
    x, log_hazard, outcome = simulated(100, 7)
    values = calibration_values(GRID, true_curves(log_hazard), outcome.time)
    for covariates in (np.empty((100, 0)), np.full((100, 1), 3.3)):
        assert calibrate(values, outcome, covariates, 0.1).gate_p is None
        assert calibrate(values, outcome, covariates, 0.1).method == "observed_time"
    everybody = SurvivalOutcome(outcome.time, np.ones(100))
    assert censoring_gate(everybody, x) is None
    separating = (~outcome.event).astype(float)[:, None]
    assert calibrate(values, outcome, separating, 0.1).method == "observed_time"


def test_the_bound_survives_a_file() -> None:
    x, log_hazard, outcome = simulated(60, 8)
    values = calibration_values(GRID, true_curves(log_hazard), outcome.time)
    bound = calibrate(values, outcome, x, 0.1)
    assert SurvivalBound.from_json(json.loads(json.dumps(bound.as_json()))) == bound
    check = check_coverage(values, outcome, np.arange(60) % 5, bound, 0.95)
    assert json.loads(json.dumps(check.as_json()))["is_shown"] is True


@pytest.mark.parametrize("method", METHODS)
def test_coverage_of_new_patients_is_kept_by_a_wrong_model(method: Method) -> None:
    """Survival that is predicted twice too long; without calibration 0.95 of 0.9 is 0.81."""
    covered = []
    for seed in range(60):
        _, log_hazard, outcome = simulated(200, seed)
        values = calibration_values(GRID, true_curves(log_hazard - np.log(2)), outcome.time)
        tau = level(values, outcome, 0.1, method)
        rng = np.random.default_rng(1000 + seed)
        # Of new patients F(T | x) is 1 - exp(-E / 2) with E exponential.
        covered.append((-np.expm1(-rng.exponential(size=500) / 2) >= tau).mean())
    assert np.mean(covered) > 0.89
    assert np.mean(covered) < 0.92 or method == "observed_time"


def test_a_worse_model_has_shorter_bounds() -> None:
    _, log_hazard, outcome = simulated(1500, 9)
    means = []
    for predicted in (log_hazard, np.random.default_rng(0).permutation(log_hazard)):
        curves = true_curves(predicted)
        tau = level(calibration_values(GRID, curves, outcome.time), outcome, 0.1, "ipcw")
        bounds = [bound_months(GRID, curve, tau) for curve in curves]
        means.append(np.mean([GRID[-1] if bound is None else bound for bound in bounds]))
    assert means[1] < 0.8 * means[0]


def test_coverage_of_the_study_by_hand() -> None:
    values = np.r_[np.arange(1, 20) / 20, np.arange(1, 20) / 20]
    outcome = SurvivalOutcome(np.arange(38.0), np.ones(38))
    bound = SurvivalBound(0.1, "observed_time", None, 38, 0.1)
    folds = np.repeat([0, 1], 19)
    check = check_coverage(values, outcome, folds, bound, 0.95)
    # Without a fold tau is the 2nd smallest, 0.1: below it is one patient in each fold.
    assert check.coverage.value == pytest.approx(36 / 38)
    assert check.coverage.low < 36 / 38 < check.coverage.high
    assert not check.is_shown  # of too few patients


def test_censored_patients_do_not_count_as_missed() -> None:
    values = np.linspace(0.01, 0.99, 100)
    outcome = SurvivalOutcome(np.arange(100.0), np.arange(100) >= 20)
    bound = SurvivalBound(0.1, "observed_time", None, 100, 0.1)
    check = check_coverage(values, outcome, np.arange(100) % 5, bound, 0.95)
    assert check.coverage.value == 1  # all whose value is below tau were censored


def test_a_fold_with_another_model_refutes_the_bound() -> None:
    x, log_hazard, outcome = simulated(300, 10)
    folds = np.arange(300) % 5
    values = calibration_values(GRID, true_curves(log_hazard), outcome.time)
    bound = calibrate(values, outcome, x[:, 1:], 0.1)
    assert check_coverage(values, outcome, folds, bound, 0.95).is_shown
    spoilt = np.where(folds == 2, values / 50, values)
    bound = calibrate(spoilt, outcome, x[:, 1:], 0.1)
    check = check_coverage(spoilt, outcome, folds, bound, 0.95)
    assert check.coverage.high < 0.9 and not check.is_shown


def test_what_cannot_be_checked_is_not_shown() -> None:
    assert not CoverageCheck(Estimate(reason="nobody"), 80, 0.9).is_shown
    assert CoverageCheck(Estimate(0.86, 0.8, 0.91), 50, 0.9).is_shown
    assert not CoverageCheck(Estimate(0.86, 0.8, 0.91), 49, 0.9).is_shown
    assert not CoverageCheck(Estimate(0.8, 0.7, 0.89), 80, 0.9).is_shown
