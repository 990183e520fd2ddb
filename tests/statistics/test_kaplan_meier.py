"""Kaplan-Meier: published values, the weighted estimate, ends of curves, at-risk tables."""

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from evaluation_fixture import load_reference, simulate
from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.kaplan_meier import (
    Curve,
    at_risk,
    at_risk_times,
    curve,
    observed_risk,
    survival_at,
)
from survfuse.statistics.metrics import HorizonError

REFERENCE = load_reference()
FIVE = SurvivalOutcome(np.array([1, 2, 2, 3, 5]), np.array([0, 1, 1, 0, 1]))


def restricted_mean(drawn: Curve, until: float) -> float:
    """Area under the steps up to a time."""
    time = np.append(drawn.time[drawn.time < until], until)
    return float((drawn.survival[: len(time) - 1] * np.diff(time)).sum())


def test_curve_published_values() -> None:
    """Test half split at the training median of the predictor; RMST and S at 1826.25 days."""
    high = REFERENCE.lp > np.median(REFERENCE.lp[REFERENCE.train])
    tau = 1826.25
    for group, area, end in (
        (~high, 1506.8001955018, 0.6189231277027),
        (high, 1129.8456899659, 0.3667570942606),
    ):
        outcome = REFERENCE.outcome[REFERENCE.test[group[REFERENCE.test]]]
        drawn = curve(outcome, 0.95)
        assert restricted_mean(drawn, tau) == pytest.approx(area, abs=1e-9)
        everyone = np.ones((1, len(outcome)))
        assert survival_at(outcome, tau, everyone)[0] == pytest.approx(end, abs=1e-9)
        assert observed_risk(outcome, tau, 0.95).value == pytest.approx(1 - end, abs=1e-9)


def test_curve_by_hand() -> None:
    drawn = curve(FIVE, 0.95)
    assert drawn.time.tolist() == [0, 1, 2, 3, 5]
    assert drawn.survival == pytest.approx([1, 1, 0.5, 0.5, 0], abs=1e-15)
    assert (drawn.low <= drawn.survival).all() and (drawn.survival <= drawn.high).all()
    # At 0 the log-log interval is a point; the last limit is kept.
    assert drawn.high[-1] == drawn.high[-2] > 0.8 and drawn.low[-1] == 0


@pytest.mark.parametrize("seed", range(3))
def test_curve_equals_lifelines(seed: int) -> None:
    outcome, _ = simulate(60, seed)
    outcome = SurvivalOutcome(outcome.time.round(0) + 1, outcome.event)  # ties
    drawn = curve(outcome, 0.9)
    fitted = KaplanMeierFitter(alpha=0.1).fit(outcome.time, outcome.event)
    limits = fitted.confidence_interval_survival_function_.to_numpy()
    assert drawn.time.tolist() == fitted.timeline.tolist()
    assert drawn.survival == pytest.approx(fitted.survival_function_.to_numpy()[:, 0], abs=1e-12)
    inside = drawn.survival > 0
    assert drawn.low[inside] == pytest.approx(limits[inside, 0], abs=1e-12)
    assert drawn.high[inside] == pytest.approx(limits[inside, 1], abs=1e-12)


def test_curve_that_starts_with_an_event_at_time_zero() -> None:
    drawn = curve(SurvivalOutcome(np.array([0, 2, 4]), np.array([1, 0, 0])), 0.95)
    assert drawn.time.tolist() == [0, 2, 4]
    assert drawn.survival == pytest.approx([2 / 3] * 3)


def test_wider_interval_for_more_confidence() -> None:
    outcome, _ = simulate(80, 1)
    narrow, wide = curve(outcome, 0.8), curve(outcome, 0.99)
    middle = len(narrow.time) // 2
    assert wide.low[middle] < narrow.low[middle] < narrow.high[middle] < wide.high[middle]


def test_curve_without_events_has_no_gaps() -> None:
    drawn = curve(SurvivalOutcome(np.array([3.0, 4.0]), np.array([0, 0])), 0.95)
    assert drawn.survival.tolist() == [1, 1, 1]
    assert np.isfinite([drawn.low, drawn.high]).all()


@pytest.mark.parametrize("seed", range(3))
def test_weighted_estimate_equals_lifelines(seed: int) -> None:
    outcome, _ = simulate(50, seed)
    outcome = SurvivalOutcome(outcome.time.round(0), outcome.event)  # ties
    counts = np.random.default_rng(seed).integers(0, 3, (4, 50)).astype(float)
    ours = survival_at(outcome, 18, counts)
    for weights, value in zip(counts, ours, strict=True):
        drawn = weights > 0
        fitted = KaplanMeierFitter().fit(
            outcome.time[drawn], outcome.event[drawn], weights=weights[drawn]
        )
        assert value == pytest.approx(fitted.predict(18), abs=1e-12)


def test_resample_without_follow_up_has_no_value() -> None:
    counts = np.array([[1, 1, 1, 1, 1], [2, 2, 0, 1, 0], [0, 1, 1, 0, 0]], dtype=float)
    values = survival_at(FIVE, 4, counts)
    assert values[0] == 0.5
    assert np.isnan(values[1])  # the last one drawn is censored at 3
    assert values[2] == 0  # everybody drawn had the event


def test_observed_risk_at_the_ends() -> None:
    none_yet = observed_risk(FIVE, 1.5, 0.95)
    # Nobody of the 4 at risk had the event: the exact limit is 1 - 0.025^(1/4).
    assert none_yet.value == 0 and none_yet.low == 0
    assert none_yet.high == pytest.approx(1 - 0.025**0.25)
    everyone = observed_risk(FIVE, 6, 0.95)
    assert everyone.value == 1 and everyone.low == pytest.approx(0.025**0.2)
    with pytest.raises(HorizonError, match="nobody of 2 patients is followed up to 9 months"):
        observed_risk(SurvivalOutcome(np.array([1, 8]), np.array([1, 0])), 9, 0.95)


def test_observed_risk_turns_the_interval_around() -> None:
    outcome, _ = simulate(80, 2)
    drawn, risk = curve(outcome, 0.95), observed_risk(outcome, 20, 0.95)
    step = np.searchsorted(drawn.time, 20, side="right") - 1
    assert risk.low == 1 - drawn.high[step] < risk.value < risk.high == 1 - drawn.low[step]


def test_at_risk_by_hand() -> None:
    rows = at_risk(FIVE, np.array([0.0, 2.0, 3.0, 6.0]))
    assert [(row["n"], row["events"], row["censored"]) for row in rows] == [
        (5, 0, 0),
        (4, 0, 1),
        (2, 2, 1),
        (0, 3, 2),
    ]


@pytest.mark.parametrize(("last", "step"), [(5, 1), (40, 6), (90, 12), (3000, 120)])
def test_at_risk_times_are_few_and_even(last: float, step: float) -> None:
    times = at_risk_times(SurvivalOutcome(np.array([1, last]), np.array([1, 0])))
    assert times[0] == 0 and times[1] == step and times[-1] <= last
    assert (np.diff(times) == step).all()
