"""Weights of the members: their maximum, their sign, and what they are for patients who lack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from survfuse.models.stacking.partial_likelihood import PartialLikelihood
from survfuse.models.stacking.weights import (
    LEAST_EVENTS,
    RIDGE,
    StackWeights,
    fit_stack_weights,
    non_negative_cox,
    sets_of_modalities,
)

READS = [("clinical",), ("slides",), ("slides",), ("clinical", "slides")]
SETS = sets_of_modalities(READS)


def drawn(
    seed: int = 0, n: int = 200, lacking: float = 0.3
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Contributions (n, 3, 4) of three members, who has what, times and events.

    The third member adds up the first two and noise.
    """
    generator = np.random.default_rng(seed)
    added = np.zeros((n, 3, 4))
    added[:, 0, 0] = generator.normal(2.0, 1.0, n)
    added[:, 1, 1] = generator.normal(-1.0, 1.0, n)
    added[:, 2] = added[:, 0] + added[:, 1]
    added[:, 2, 2:] = generator.normal(size=(n, 2)) * 0.3
    score = added[:, :2].sum(axis=(1, 2))
    slides = generator.random(n) >= lacking
    has = np.stack([np.ones(n, bool), slides, slides, slides], axis=1)
    time = generator.exponential(10 * np.exp(-score))
    censoring = generator.uniform(1, 60, n)
    absent = ~np.broadcast_to(has[:, None], added.shape)
    return np.where(absent, 0.0, added), has, np.minimum(time, censoring), time <= censoring


def place_of(weights: StackWeights, *own: bool) -> int:
    """The row of a set of inputs."""
    return int(weights.sets_of(np.array([own]))[0])


# Non-negative Cox models


def test_a_weight_by_hand() -> None:
    """Of two patients the first dies: b - log(e^b + e^-b) - ridge b^2 / 2 has its slope at 0."""
    x, time, event = np.array([[1.0], [-1.0]]), np.array([1.0, 2.0]), np.array([True, False])
    for ridge in (0.1, 1.0):
        expected = brentq(lambda b, r=ridge: 1 - np.tanh(b) - r * b, 0, 20)
        assert non_negative_cox(x, time, event, ridge)[0] == pytest.approx(expected, abs=1e-5)
    assert non_negative_cox(-x, time, event, 0.1).tolist() == [0.0]
    assert non_negative_cox(x, time, np.zeros(2, bool), 1.0).tolist() == [0.0]
    assert non_negative_cox(np.empty((2, 0)), time, event, 1.0).shape == (0,)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(0.1, 20))
def test_weights_are_the_maximum_among_those_not_below_zero(
    seed: int, p: int, ridge: float
) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(40, p))
    x[:, -1] = x[:, 0] + 0.1 * x[:, -1]  # members agree
    time, event = np.ceil(generator.exponential(5, 40)), generator.random(40) < 0.7
    beta = non_negative_cox(x, time, event, ridge)
    assert (beta >= 0).all()
    slope = PartialLikelihood.of(time, event).value_and_slope(x @ beta)[1] @ x - ridge * beta
    np.testing.assert_allclose(slope[beta > 0], 0, atol=2e-3)
    assert (slope[beta == 0] <= 2e-3).all()


# Sets of inputs


def test_all_sets_of_modalities_are_covered() -> None:
    assert SETS.tolist() == [
        [False, False, False, False],
        [False, True, True, False],
        [True, False, False, False],
        [True, True, True, True],
    ]
    three = sets_of_modalities([("a",), ("b",), ("c",), ("a", "b"), ("b", "c")])
    assert len(three) == 8
    weights = StackWeights(SETS, np.zeros((4, 3, 4)), np.zeros((4, 3)))
    assert weights.sets_of(SETS[::-1]).tolist() == [3, 2, 1, 0]
    with pytest.raises(ValueError, match="no weights"):
        weights.sets_of(np.array([[False, False, False, True]]))


def test_weights_are_those_of_standardised_scores() -> None:
    added, has, time, event = drawn()
    weights = fit_stack_weights(added, has, time, event, SETS)
    assert (weights.weight >= 0).all()
    whole = has.all(axis=1)
    scores = added[whole].sum(axis=2)
    standard = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    expected = non_negative_cox(standard, time[whole], event[whole], RIDGE) / scores.std(axis=0)
    found = weights.weight[place_of(weights, True, True, True, True)]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert found.max() > 0.2


def test_contributions_by_hand() -> None:
    centre = np.zeros((2, 2, 2))
    centre[1] = [[1.0, 2.0], [0.0, 1.0]]
    weights = StackWeights(
        np.array([[True, False], [True, True]]), centre, np.array([[3.0, 0.0], [1.0, 2.0]])
    )
    added = np.array([[[5.0, 7.0], [1.0, 1.0]]] * 2)
    found = weights.contributions(added, np.array([[True, True], [True, False]]))
    # 1 (5 - 1) + 2 (1 - 0) and 1 (7 - 2) + 2 (1 - 1); then 3 * 5, and nothing of what is absent.
    assert found.tolist() == [[6.0, 5.0], [15.0, 0.0]]


def test_weights_of_a_set_come_from_those_who_have_all_of_it() -> None:
    added, has, time, event = drawn()
    whole = has.all(axis=1)
    before = fit_stack_weights(added, has, time, event, SETS)
    other = fit_stack_weights(
        np.where(whole[:, None, None], added, added[::-1] * has[:, None]),
        *(has, np.where(whole, time, 50.0), event & whole, SETS),
    )
    full = place_of(before, True, True, True, True)
    clinical = place_of(before, True, False, False, False)
    assert (before.weight[full] == other.weight[full]).all()
    assert (before.centre[full] == other.centre[full]).all()
    assert (before.weight[clinical] != other.weight[clinical]).any()


def test_with_few_events_everybody_is_learned_from() -> None:
    added, has, time, event = drawn()
    slides = has[:, 1]
    few = np.flatnonzero(slides & event)[: LEAST_EVENTS - 1]
    scarce = np.where(slides, False, event)
    scarce[few] = True
    weights = fit_stack_weights(added, has, time, scarce, SETS)
    full = place_of(weights, True, True, True, True)
    known = np.where(has[:, None], added, 0.0)
    centre = known.sum(axis=0) / has.sum(axis=0)
    np.testing.assert_allclose(weights.centre[full], centre)
    scores = np.where(has[:, None], added - centre, 0.0).sum(axis=2)
    spread = scores.std(axis=0)
    expected = non_negative_cox(scores / spread, time, scarce, RIDGE) / spread
    np.testing.assert_allclose(weights.weight[full], expected, atol=1e-6)


def test_what_is_absent_adds_exactly_nothing() -> None:
    added, has, time, event = drawn()
    weights = fit_stack_weights(added, has, time, event, SETS)
    found = weights.contributions(added, has)
    assert not found[~has].any()
    assert found[:, 0].all()
    # Whatever stands in the columns of what is absent.
    filled = np.where(has[:, None], added, 1e6)
    np.testing.assert_array_equal(weights.contributions(filled, has), found)
    relearned = fit_stack_weights(filled, has, time, event, SETS)
    np.testing.assert_array_equal(relearned.weight, weights.weight)
    nothing = np.zeros((1, 4), bool)
    assert not weights.contributions(added[:1], nothing).any()


@pytest.mark.parametrize("by_outcome", [False, True])
def test_that_something_is_absent_tells_nothing(by_outcome: bool) -> None:
    """Whether slides lack at random or of all who die early, their lack moves nobody's hazard."""
    added, has, time, event = drawn(lacking=0.0)
    lacking = event & (time < np.median(time)) if by_outcome else np.arange(len(time)) % 3 == 0
    has = has & ~(lacking[:, None] & np.array([False, True, True, True]))
    added = np.where(has[:, None], added, 0.0)
    weights = fit_stack_weights(added, has, time, event, SETS)
    found = weights.contributions(added, has)
    assert not found[lacking, 1:].any()
    # Among those who have them the average is nothing too.
    np.testing.assert_allclose(found[~lacking].mean(axis=0), 0, atol=1e-9)


def test_members_without_an_effect_weigh_nothing() -> None:
    added, has, time, event = drawn()
    added[:, 1] = 0.0
    weights = fit_stack_weights(added, has, time, event, SETS)
    assert not weights.weight[:, 1].any()
    assert np.isfinite(weights.weight).all()
    assert not weights.weight[place_of(weights, False, False, False, False)].any()


def test_weights_survive_storage() -> None:
    added, has, time, event = drawn()
    weights = fit_stack_weights(added, has, time, event, SETS)
    again = StackWeights.from_arrays(weights.arrays())
    np.testing.assert_array_equal(
        again.contributions(added, has), weights.contributions(added, has)
    )
