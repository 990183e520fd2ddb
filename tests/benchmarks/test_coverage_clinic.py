"""A small run of the coverage benchmark of clinics: the intervals and shares that reports print."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from coverage_clinic import HORIZON, Setting, alarm, compare, draw, share_bias
from coverage_clinic_risk import interval_holds
from coverage_figure import over_cohorts
from sklearn.linear_model import LogisticRegression

from survfuse.statistics.intervals import Estimate
from survfuse.statistics.probabilities import calibration_slope

FEW = Setting(120, 5, 1)
CENSORED = Setting(300, 3, 1, 60.0)


def test_intervals_hold_what_such_models_reach_and_equal_models_seldom_differ() -> None:
    found = over_cohorts(partial(compare, FEW), 50, 1)
    truth = np.mean([one.true_auroc for one in found])
    assert 0.6 < truth < 0.75
    inside = [(one.limits[:, 0] <= truth) & (truth <= one.limits[:, 1]) for one in found]
    assert 0.9 <= np.mean(inside) <= 1
    assert np.mean([one.differ for one in found]) <= 0.1
    for one in found:
        assert (one.limits >= 0).all() and (one.limits <= 1).all()


def test_controls_seldom_raise_an_alarm_where_nothing_leaks() -> None:
    assert np.mean(over_cohorts(partial(alarm, FEW), 40, 1)) <= 0.1


def test_predicted_shares_are_those_of_all_patients_under_censoring() -> None:
    drawn = draw(CENSORED, np.random.default_rng(0))
    assert 0.35 < (drawn.label < 0).mean() < 0.5
    assert (drawn.outcome.time[drawn.label < 0] < HORIZON).all()
    assert abs(np.mean(over_cohorts(partial(share_bias, CENSORED, True), 15, 1))) < 0.025
    assert np.mean(over_cohorts(partial(share_bias, CENSORED, False), 15, 1)) > 0.04


def test_the_risk_of_patient_pages_is_held_with_and_without_a_pet() -> None:
    found = over_cohorts(partial(interval_holds, Setting(120, 3, 1, 60.0)), 12, 1)
    assert np.mean([one.every for one in found]) >= 0.88
    assert np.mean([one.lacking for one in found]) >= 0.88
    assert np.mean([one.own for one in found]) < 0.85  # it is no interval of a single patient
    assert all(one.wider for one in found)


def slope_and_truth(seed: int) -> tuple[Estimate, Estimate, float]:
    """Slope within folds, pooled slope, and the mean slope of the same models on new patients."""
    rng = np.random.default_rng(seed)
    n, folds = 120, 5
    x = rng.standard_normal((n + 3000, 8))
    risk = 1 / (1 + np.exp(-x[:, :3] @ [0.6, 0.5, 0.4]))
    case = rng.random(n + 3000) < risk
    fold = np.arange(n) % folds
    said, truth = np.empty(n), []
    for number in range(folds):
        tested = fold == number
        fitted = LogisticRegression(C=10).fit(x[:n][~tested], case[:n][~tested])
        said[tested] = fitted.predict_proba(x[:n][tested])[:, 1]
        new = fitted.predict_proba(x[n:])[:, 1]
        truth.append(calibration_slope(new, case[n:], 0.95).value)
    within = calibration_slope(said, case[:n], 0.95, fold=fold)
    return within, calibration_slope(said, case[:n], 0.95), float(np.mean(truth))


def test_the_calibration_slope_within_folds_is_that_of_the_models_on_new_patients() -> None:
    found = [slope_and_truth(seed) for seed in range(60)]
    within, pooled = ([one[k].value - one[2] for one in found] for k in (0, 1))
    assert abs(np.mean(within)) < 0.1 < -np.mean(pooled)
    assert np.mean([one[0].low <= one[2] <= one[0].high for one in found]) >= 0.88
