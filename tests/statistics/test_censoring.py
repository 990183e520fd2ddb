"""Inverse probability of censoring for classes at a horizon, by hand and by another library."""

from __future__ import annotations

import numpy as np
import pytest
from sksurv.nonparametric import CensoringDistributionEstimator, kaplan_meier_estimator
from sksurv.util import Surv

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.censoring import known_weights, share_by, uncensored_before
from survfuse.statistics.metrics import HorizonError

HAND = SurvivalOutcome(np.array([1, 2, 2, 3, 4, 5, 6.0]), np.array([0, 1, 0, 1, 0, 1, 0], bool))


def test_the_chance_of_not_being_censored_by_hand() -> None:
    """One of 7 leaves at 1; at 2 the event comes first, so that one of 5 leaves; at 4 one of 3."""
    at = np.array([0, 1, 1.5, 2, 2.5, 4, 4.5, 6])
    after_one, after_two, after_four = 6 / 7, 6 / 7 * 4 / 5, 6 / 7 * 4 / 5 * 2 / 3
    expected = [1, 1, after_one, after_one, after_two, after_two, after_four, after_four]
    np.testing.assert_allclose(uncensored_before(HAND, at), expected)


def test_weights_by_hand() -> None:
    """At 4 months: those with an event before, and those followed to it, who left at 4 or later."""
    found = known_weights(HAND, 4.0)
    after_one, after_two = 6 / 7, 6 / 7 * 4 / 5
    expected = [np.nan, 1 / after_one, np.nan, *(1 / after_two for _ in range(4))]
    np.testing.assert_allclose(found, expected)
    assert np.nansum(found) == pytest.approx(7)
    # Two converted: 7/6 + 35/24 = 2.625 of 7.
    assert share_by(HAND, 4.0, 0.95).value == pytest.approx(2.625 / 7)


@pytest.mark.parametrize("seed", range(5))
def test_weights_sum_to_the_cohort_and_the_share_is_kaplan_meiers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    months, left = rng.exponential(40, 200), rng.exponential(50, 200)
    time = np.minimum(months, left)
    if seed % 2:
        time = np.ceil(time / 6) * 6  # visits twice a year: ties everywhere
    outcome = SurvivalOutcome(time, months <= left)
    weight = known_weights(outcome, 36.0)
    known = np.isfinite(weight)
    converted = outcome.event & (outcome.time <= 36)
    assert np.nansum(weight) == pytest.approx(200)
    steps, survival = kaplan_meier_estimator(outcome.event, outcome.time)
    share = 1 - survival[steps <= 36][-1]
    assert weight[converted].sum() / 200 == pytest.approx(share)
    assert share_by(outcome, 36.0, 0.95).value == pytest.approx(share)
    other = CensoringDistributionEstimator().fit(Surv.from_arrays(outcome.event, outcome.time))
    before = other.predict_proba(np.minimum(outcome.time, 36.0)[known] - 1e-9)
    np.testing.assert_allclose(weight[known], 1 / before)


def test_where_nobody_is_censored_before_the_horizon_everybody_counts_once() -> None:
    outcome = SurvivalOutcome(np.array([10.0, 40, 50, 36]), np.array([1, 0, 1, 0], bool))
    assert known_weights(outcome, 36.0).tolist() == [1.0] * 4
    assert share_by(outcome, 36.0, 0.95).value == 0.25


def test_follow_up_to_the_horizon_is_enough_and_less_is_not() -> None:
    outcome = SurvivalOutcome(np.array([10.0, 36, 36, 36]), np.array([1, 0, 0, 0], bool))
    assert share_by(outcome, 36.0, 0.95).value == 0.25
    with pytest.raises(HorizonError):
        share_by(outcome, 37.0, 0.95)
