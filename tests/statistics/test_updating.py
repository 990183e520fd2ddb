"""Recalibration to another cohort: by hand, in known truth, and without one's own outcome."""

from __future__ import annotations

import numpy as np
import pytest

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.updating import (
    IN_THE_LARGE,
    SLOPE,
    Update,
    cross_fitted,
    require_events,
    update_probability,
    update_risk,
)


def followed(events: int, n: int) -> SurvivalOutcome:
    """Nobody is lost before 24 months; the first patients had the event by 12."""
    time = np.r_[np.linspace(1, 11, events), np.full(n - events, 24.0)]
    return SurvivalOutcome(time, np.arange(n) < events)


def test_the_shift_by_hand() -> None:
    # 40 of 100 had it, 20 were expected: log(-log 0.6) - log(-log 0.8).
    update = update_risk(followed(40, 100), np.full(100, 0.2), 12.0, IN_THE_LARGE)
    assert update.intercept == pytest.approx(np.log(-np.log(0.6)) - np.log(-np.log(0.8)))
    assert (update.slope, update.n, update.events) == (1.0, 100, 40)
    assert update.apply(np.array([0.2])) == pytest.approx([0.4])


def test_shift_and_slope_of_two_groups_by_hand() -> None:
    # Groups with risks 0.2 and 0.5, of whom 3 and 6 of 10 had it.
    outcome = SurvivalOutcome(
        np.r_[np.full(3, 6.0), np.full(7, 24.0), np.full(6, 6.0), np.full(4, 24.0)],
        np.r_[np.ones(3), np.zeros(7), np.ones(6), np.zeros(4)],
    )
    risk = np.repeat([0.2, 0.5], 10)
    update = update_risk(outcome, risk, 12.0, SLOPE)
    before, after = (np.log(-np.log(1 - np.array(p))) for p in ([0.2, 0.5], [0.3, 0.6]))
    slope = (after[1] - after[0]) / (before[1] - before[0])
    assert update.slope == pytest.approx(slope)
    assert update.intercept == pytest.approx(after[0] - slope * before[0])
    assert update.apply(np.array([0.2, 0.5])) == pytest.approx([0.3, 0.6])


def test_log_odds_by_hand() -> None:
    probability = np.repeat([0.2, 0.5], 10)
    case = np.r_[np.ones(3), np.zeros(7), np.ones(6), np.zeros(4)] == 1
    update = update_probability(probability, case, np.ones(20), SLOPE)
    assert update.apply(np.array([0.2, 0.5])) == pytest.approx([0.3, 0.6])
    same = update_probability(np.full(20, 0.2), case, np.ones(20), IN_THE_LARGE)
    assert same.intercept == pytest.approx(np.log(0.45 / 0.55) - np.log(0.2 / 0.8))
    # Who counts twice is like two.
    weight = np.where(np.arange(20) < 3, 2.0, 1.0)
    twice = update_probability(probability, case, weight, SLOPE)
    assert twice.apply(np.array([0.2])) == pytest.approx([6 / 13])


def test_the_mean_becomes_what_was_observed_however_wrong_the_slope() -> None:
    outcome = followed(30, 100)
    extreme = np.where(np.arange(100) % 3 == 0, 0.97, 0.01)
    for kind in (IN_THE_LARGE, SLOPE):
        update = update_risk(outcome, extreme, 12.0, kind)
        assert update.apply(extreme).mean() == pytest.approx(0.3)
    with pytest.raises(NotEstimableError, match="nobody had the event"):
        update_risk(followed(0, 100), extreme, 12.0, IN_THE_LARGE)
    everybody = SurvivalOutcome(np.r_[np.full(99, 6.0), 12.0], np.ones(100))
    with pytest.raises(NotEstimableError, match="everybody had the event"):
        update_risk(everybody, extreme, 12.0, IN_THE_LARGE)


def test_a_wrong_order_is_not_turned_round() -> None:
    outcome = followed(40, 100)
    wrong = np.linspace(0.1, 0.6, 100)  # the events have the lowest risks
    update = update_risk(outcome, wrong, 12.0, SLOPE)
    assert update.slope == 0
    assert update.apply(wrong) == pytest.approx(np.full(100, 0.4))
    case = np.arange(100) % 5 < np.where(np.arange(100) < 50, 3, 1)
    assert update_probability(wrong, case, np.ones(100), SLOPE).slope == 0


def test_twice_the_hazard_is_a_shift_by_log_2() -> None:
    draw = np.random.default_rng(1)
    n = 20_000
    log_hazard = 0.7 * draw.normal(size=n)
    said = -np.expm1(-0.5 * np.exp(log_hazard))
    time = 12 * draw.exponential(size=n) / np.exp(log_hazard)  # hazard 1 by 12 months
    censored = draw.uniform(3, 40, n)
    outcome = SurvivalOutcome(np.minimum(time, censored), time <= censored)
    update = update_risk(outcome, said, 12.0, IN_THE_LARGE)
    assert update.intercept == pytest.approx(np.log(2), abs=0.03)
    both = update_risk(outcome, said, 12.0, SLOPE)
    assert both.slope == pytest.approx(1, abs=0.04)
    assert both.intercept == pytest.approx(np.log(2), abs=0.04)


@pytest.mark.parametrize("kind", [IN_THE_LARGE, SLOPE])
def test_no_outcome_recalibrates_its_own_patient(kind: str) -> None:
    draw = np.random.default_rng(2)
    risk = draw.uniform(0.1, 0.8, 80)
    time, event = draw.uniform(1, 30, 80), draw.random(80) < 0.6

    def recalibrated(event: np.ndarray) -> np.ndarray:
        outcome = SurvivalOutcome(time, event)
        return cross_fitted(
            risk, lambda rows: update_risk(outcome[rows], risk[rows], 12.0, kind), 0
        )

    before = recalibrated(event)
    early = int(np.flatnonzero(time < 10)[0])
    changed = event.copy()
    changed[early] = ~changed[early]
    after = recalibrated(changed)
    assert after[early] == before[early]
    assert (after != before).sum() >= 70  # of the other parts


def test_too_few_events_are_refused_with_their_number() -> None:
    require_events(20, IN_THE_LARGE, "events")
    with pytest.raises(NotEstimableError, match=r"19 events are too few .* needs 20"):
        require_events(19, IN_THE_LARGE, "events")
    with pytest.raises(NotEstimableError, match="needs 50"):
        require_events(49, SLOPE, "events")


def test_certain_probabilities_stay_finite() -> None:
    update = Update("cloglog", 0.5, 1.0, 1, 1)
    assert np.isfinite(update.apply(np.array([0.0, 1.0]))).all()
