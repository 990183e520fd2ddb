"""Calibration: published values, simulated truth, and what cannot be estimated."""

import numpy as np
import pytest

from evaluation_fixture import load_reference, simulate
from survfuse.evaluation.calibration import (
    calibration_curve,
    calibration_slope,
    observed_expected,
)
from survfuse.evaluation.intervals import NotEstimableError
from survfuse.evaluation.metrics import HorizonError
from survfuse.evaluation.study import Outcome

REFERENCE = load_reference()
TEST = REFERENCE.outcome[REFERENCE.test]
FIVE_YEARS = 1826.25


def reference_survival(days: float) -> np.ndarray:
    return REFERENCE.survival(np.array([days]))[REFERENCE.test, 0]


def true_survival(log_hazard: np.ndarray, months: float) -> np.ndarray:
    """What `simulate` draws from."""
    return np.exp(-((months / 40) ** 1.3) * np.exp(log_hazard))


def test_observed_expected_published_value() -> None:
    survival = reference_survival(FIVE_YEARS)
    counts = np.ones((1 + 20, len(TEST)))
    found = observed_expected(TEST, survival, FIVE_YEARS, counts, 0.95)
    assert found.value == pytest.approx(0.49457144166690 / 0.58611877889381, abs=1e-9)
    assert found.value == pytest.approx(0.84380753437, abs=1e-9)
    # Resamples that are the cohort itself have no spread.
    assert found.low == found.high == found.value


def test_slope_published_value() -> None:
    found = calibration_slope(TEST, reference_survival(FIVE_YEARS), 0.95)
    assert found.value == pytest.approx(0.89262695, abs=1e-6)
    predictor = REFERENCE.lp[REFERENCE.test]
    step = 1e-3
    below, at, above = (
        efron_log_likelihood(TEST, predictor, found.value + shift) for shift in (-step, 0, step)
    )
    half_width = 1.959963985 / np.sqrt((2 * at - below - above) / step**2)
    assert found.low == pytest.approx(found.value - half_width, abs=1e-6)
    assert found.high == pytest.approx(found.value + half_width, abs=1e-6)


def efron_log_likelihood(outcome: Outcome, predictor: np.ndarray, slope: float) -> float:
    """Cox partial log-likelihood by its definition."""
    hazard = np.exp(slope * predictor)
    total = slope * predictor[outcome.event].sum()
    for time in np.unique(outcome.time[outcome.event]):
        dying = hazard[(outcome.time == time) & outcome.event]
        at_risk = hazard[outcome.time >= time].sum()
        removed = np.arange(len(dying)) / len(dying) * dying.sum()
        total -= np.log(at_risk - removed).sum()
    return float(total)


def test_slope_of_proportional_hazards_does_not_depend_on_the_horizon() -> None:
    one = calibration_slope(TEST, reference_survival(730.5), 0.95)
    assert one.value == pytest.approx(0.89262695, abs=1e-6)


def test_slope_over_repeats_is_averaged_and_no_narrower() -> None:
    survival = reference_survival(FIVE_YEARS)
    once = calibration_slope(TEST, survival, 0.95)
    thrice = calibration_slope(TEST, np.stack([survival] * 3), 0.95)
    assert [thrice.value, thrice.low, thrice.high] == pytest.approx(
        [once.value, once.low, once.high], abs=1e-12
    )


def test_slope_and_ratio_on_simulated_truth() -> None:
    slopes, ratios = [], []
    for seed in range(8):
        outcome, log_hazard = simulate(600, seed, strength=0.8)
        survival = true_survival(0.8 * log_hazard, 24)
        slopes.append(
            [
                calibration_slope(outcome, survival, 0.95).value,
                calibration_slope(outcome, true_survival(1.6 * 0.8 * log_hazard, 24), 0.95).value,
            ]
        )
        shifted = true_survival(0.8 * log_hazard + 0.3, 24)
        counts = np.ones((2, len(outcome)))
        ratios.append(
            [observed_expected(outcome, one, 24, counts, 0.95).value for one in (survival, shifted)]
        )
    assert np.mean(slopes, axis=0) == pytest.approx([1, 1 / 1.6], abs=0.04)
    perfect, pessimistic = np.mean(ratios, axis=0)
    assert perfect == pytest.approx(1, abs=0.03)
    assert pessimistic < 0.87


@pytest.mark.slow
def test_slope_covers_the_truth() -> None:
    """200 simulations, half censored: mean 1, nominal coverage; overfit by 1.6 reads 0.625."""
    found, overfit = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        eta = rng.normal(scale=0.8, size=1000)
        time, censored = rng.exponential(np.exp(-eta)), rng.exponential(1.0, 1000)
        outcome = Outcome(np.minimum(time, censored), time <= censored)
        found.append(calibration_slope(outcome, np.exp(-0.5 * np.exp(eta)), 0.95))
        overfit.append(calibration_slope(outcome, np.exp(-0.5 * np.exp(1.6 * eta)), 0.95).value)
    assert np.mean([one.value for one in found]) == pytest.approx(1, abs=0.02)
    assert 0.93 <= np.mean([one.low < 1 < one.high for one in found]) <= 0.97
    assert np.mean(overfit) == pytest.approx(0.625, abs=0.03)


def test_ratio_interval_covers_its_sampling_error() -> None:
    outcome, log_hazard = simulate(300, 4)
    rng = np.random.default_rng(0)
    counts = np.vstack([np.ones(300), rng.multinomial(300, np.full(300, 1 / 300), size=1000)])
    found = observed_expected(outcome, true_survival(log_hazard, 24), 24, counts, 0.95)
    assert found.low < 1 < found.high
    # Close to the binomial error of the observed share alone, about 2 * sqrt(p q / n) / p.
    assert 0.1 < found.high - found.low < 0.5


def test_certain_predictions_do_not_break_the_slope() -> None:
    outcome, log_hazard = simulate(200, 5)
    survival = true_survival(log_hazard, 24)
    survival[:2] = [0, 1]
    assert np.isfinite(calibration_slope(outcome, survival, 0.95).value)


def test_slope_of_timid_predictions() -> None:
    """Predictions squeezed a thousandfold have a slope a thousand times as large."""
    survival = reference_survival(FIVE_YEARS)
    predictor = np.log(-np.log(survival))
    squeezed = np.exp(-np.exp(predictor.mean() + (predictor - predictor.mean()) / 1000))
    once, timid = (calibration_slope(TEST, one, 0.95) for one in (survival, squeezed))
    assert timid.value / 1000 == pytest.approx(once.value, rel=1e-6)
    assert timid.high / 1000 == pytest.approx(once.high, rel=1e-5)


def test_what_cannot_be_estimated() -> None:
    outcome, log_hazard = simulate(100, 6)
    counts = np.ones((3, 100))
    with pytest.raises(NotEstimableError, match="same prediction"):
        calibration_slope(outcome, np.full(100, 0.7), 0.95)
    last = outcome.time.max()
    with pytest.raises(HorizonError, match=r"0 of 100 patients are at risk"):
        observed_expected(outcome, true_survival(log_hazard, last), last, counts, 0.95)
    with pytest.raises(NotEstimableError, match="no event by 24 months"):
        observed_expected(outcome, np.ones(100), 24, counts, 0.95)


@pytest.mark.parametrize("events", ["none", "perfectly separated"])
def test_diverging_slope_is_no_number(events: str) -> None:
    survival = np.linspace(0.1, 0.9, 40)
    time = np.arange(1, 41)
    observed = np.zeros(40) if events == "none" else (time <= 20)
    with pytest.raises(NotEstimableError, match=r"diverges|no event"):
        calibration_slope(Outcome(time, observed), survival, 0.95)


def test_curve_groups_patients_by_predicted_risk() -> None:
    outcome, log_hazard = simulate(400, 7)
    points = calibration_curve(outcome, true_survival(log_hazard, 24), 24, 0.95)
    assert [point["n"] for point in points] == [40] * 10
    predicted = [point["predicted"] for point in points]
    assert predicted == sorted(predicted)
    assert all(point["low"] <= point["observed"] <= point["high"] for point in points)
    covered = [point["low"] <= point["predicted"] <= point["high"] for point in points]
    assert sum(covered) >= 8


def test_curve_keeps_equal_predictions_together() -> None:
    outcome, _ = simulate(100, 8)
    survival = np.where(np.arange(100) < 30, 0.9, 0.5)
    points = calibration_curve(outcome, survival, 24, 0.95)
    assert [(round(p["predicted"], 3), p["n"]) for p in points] == [(0.1, 30), (0.5, 70)]


def test_curve_says_where_follow_up_ends() -> None:
    time = np.r_[np.full(20, 10.0), np.full(20, 50.0)]
    event = np.arange(40) % 4 == 0
    survival = np.r_[np.full(20, 0.3), np.full(20, 0.8)]
    low, high = calibration_curve(Outcome(time, event), survival, 24, 0.95)
    assert low["observed"] == 0 and low["n"] == 20
    assert high["observed"] is None and "beyond 24 months" in high["reason"]
