"""Calibration: published values, simulated truth, and what cannot be estimated."""

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from evaluation_fixture import load_reference, simulate
from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.calibration import (
    calibration_curve,
    calibration_slope,
    ended_at,
    observed_expected,
)
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import HorizonError
from survfuse.statistics.stratified_cox import stratified_slope

REFERENCE = load_reference()
TEST = REFERENCE.outcome[REFERENCE.test]
FIVE_YEARS = 1826.25
WHOLE = float(TEST.time.max())  # all follow-up


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
    found = calibration_slope(TEST, reference_survival(FIVE_YEARS), WHOLE, 0.95)
    assert found.value == pytest.approx(0.89262695, abs=1e-6)
    predictor = REFERENCE.lp[REFERENCE.test]
    step = 1e-3
    below, at, above = (
        efron_log_likelihood(TEST, predictor, found.value + shift) for shift in (-step, 0, step)
    )
    half_width = 1.959963985 / np.sqrt((2 * at - below - above) / step**2)
    assert found.low == pytest.approx(found.value - half_width, abs=1e-6)
    assert found.high == pytest.approx(found.value + half_width, abs=1e-6)


def efron_log_likelihood(outcome: SurvivalOutcome, predictor: np.ndarray, slope: float) -> float:
    """Cox partial log-likelihood by its definition."""
    hazard = np.exp(slope * predictor)
    total = slope * predictor[outcome.event].sum()
    for time in np.unique(outcome.time[outcome.event]):
        dying = hazard[(outcome.time == time) & outcome.event]
        at_risk = hazard[outcome.time >= time].sum()
        removed = np.arange(len(dying)) / len(dying) * dying.sum()
        total -= np.log(at_risk - removed).sum()
    return float(total)


def test_slope_of_proportional_hazards_does_not_depend_on_the_time_of_the_predictions() -> None:
    one = calibration_slope(TEST, reference_survival(730.5), WHOLE, 0.95)
    assert one.value == pytest.approx(0.89262695, abs=1e-6)


def test_slope_at_a_horizon_ignores_what_comes_after_it() -> None:
    """Right up to 12 months, and without any effect from then on: the slope at 12 months is 1."""
    rng = np.random.default_rng(1)
    eta = rng.normal(scale=0.9, size=6000)
    early = rng.exponential(20 * np.exp(-eta))
    time = np.where(early < 12, early, 12 + rng.exponential(20, 6000))
    censored = rng.uniform(0, 60, 6000)
    outcome = SurvivalOutcome(np.minimum(time, censored), time <= censored)
    survival = np.exp(-12 / 20 * np.exp(eta))
    found = calibration_slope(outcome, survival, 12, 0.95)
    assert found.low < 1 < found.high and found.value == pytest.approx(1, abs=0.05)
    assert calibration_slope(outcome, survival, 59, 0.95).value < 0.75


def test_slope_compares_patients_within_their_fold() -> None:
    """Levels of the folds do not count, nor does one fold's wider spread; the information does."""
    outcome, log_hazard = simulate(400, 3)
    fold = np.arange(400) % 4
    eta = 0.8 * log_hazard
    one = calibration_slope(outcome, true_survival(eta, 24), 24, 0.95, fold)
    shifted = calibration_slope(outcome, true_survival(eta + 0.3 * fold - 1, 24), 24, 0.95, fold)
    assert [shifted.value, shifted.low] == pytest.approx([one.value, one.low], abs=1e-6)
    assert 1.0 < one.value < 1.5
    fitted = stratified_slope(ended_at(outcome, 24), eta, fold)
    assert one.value == pytest.approx(fitted.value, rel=0.05)


def test_interval_of_the_slope_widens_with_shared_training_and_not_with_repeats() -> None:
    outcome, log_hazard = simulate(300, 3)
    survival = true_survival(log_hazard, 24)
    fold = np.arange(300) % 5
    plain = calibration_slope(outcome, survival, 24, 0.95, fold)
    shared = calibration_slope(outcome, survival, 24, 0.95, fold, 0.25)
    width = plain.high - plain.low
    assert shared.value == plain.value
    assert (shared.high - shared.low) / width == pytest.approx(1.5**0.5)
    again = calibration_slope(outcome, np.stack([survival] * 3), 24, 0.95, np.stack([fold] * 3))
    assert [again.value, again.low] == pytest.approx([plain.value, plain.low], abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_stratified_slope_equals_lifelines(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, stratum = rng.normal(size=150), rng.integers(0, 4, 150)
    outcome = SurvivalOutcome(rng.integers(1, 12, 150), rng.random(150) < 0.6)
    found = stratified_slope(outcome, x, stratum)
    table = pd.DataFrame({"x": x, "s": stratum, "time": outcome.time, "event": outcome.event})
    fitted = CoxPHFitter().fit(table, "time", "event", strata=["s"])
    assert found.value == pytest.approx(fitted.params_["x"], abs=1e-6)
    error = found.information.sum() ** -0.5
    assert error == pytest.approx(fitted.standard_errors_["x"], abs=1e-6)
    assert found.score.sum() == pytest.approx(0, abs=1e-6)


def test_slope_over_repeats_is_averaged_and_no_narrower() -> None:
    survival = reference_survival(FIVE_YEARS)
    once = calibration_slope(TEST, survival, WHOLE, 0.95)
    thrice = calibration_slope(TEST, np.stack([survival] * 3), WHOLE, 0.95)
    assert [thrice.value, thrice.low, thrice.high] == pytest.approx(
        [once.value, once.low, once.high], abs=1e-12
    )


def test_slope_and_ratio_on_simulated_truth() -> None:
    slopes, ratios = [], []
    for seed in range(8):
        outcome, log_hazard = simulate(600, seed, strength=0.8)
        survival = true_survival(0.8 * log_hazard, 24)
        overfit = true_survival(1.6 * 0.8 * log_hazard, 24)
        slopes.append(
            [
                calibration_slope(outcome, survival, 24, 0.95).value,
                calibration_slope(outcome, overfit, 24, 0.95).value,
            ]
        )
        shifted = true_survival(0.8 * log_hazard + 0.3, 24)
        counts = np.ones((2, len(outcome)))
        ratios.append(
            [observed_expected(outcome, one, 24, counts, 0.95).value for one in (survival, shifted)]
        )
    assert np.mean(slopes, axis=0) == pytest.approx([1, 1 / 1.6], abs=0.08)
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
        outcome = SurvivalOutcome(np.minimum(time, censored), time <= censored)
        found.append(calibration_slope(outcome, np.exp(-0.5 * np.exp(eta)), 0.5, 0.95))
        steep = np.exp(-0.5 * np.exp(1.6 * eta))
        overfit.append(calibration_slope(outcome, steep, 0.5, 0.95).value)
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
    assert np.isfinite(calibration_slope(outcome, survival, 24, 0.95).value)


def test_slope_of_timid_predictions() -> None:
    """Predictions squeezed a thousandfold have a slope a thousand times as large."""
    survival = reference_survival(FIVE_YEARS)
    predictor = np.log(-np.log(survival))
    squeezed = np.exp(-np.exp(predictor.mean() + (predictor - predictor.mean()) / 1000))
    once, timid = (calibration_slope(TEST, one, WHOLE, 0.95) for one in (survival, squeezed))
    assert timid.value / 1000 == pytest.approx(once.value, rel=1e-6)
    assert timid.high / 1000 == pytest.approx(once.high, rel=1e-5)


def test_what_cannot_be_estimated() -> None:
    outcome, log_hazard = simulate(100, 6)
    counts = np.ones((3, 100))
    with pytest.raises(NotEstimableError, match="same prediction"):
        calibration_slope(outcome, np.full(100, 0.7), 24, 0.95)
    last = outcome.time.max() + 1
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
        calibration_slope(SurvivalOutcome(time, observed), survival, 40, 0.95)


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
    low, high = calibration_curve(SurvivalOutcome(time, event), survival, 24, 0.95)
    assert low["observed"] == 0 and low["n"] == 20
    assert high["observed"] is None and "followed up to 24 months" in high["reason"]
