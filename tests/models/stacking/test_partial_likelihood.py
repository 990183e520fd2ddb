"""Cox's partial likelihood by hand, by finite differences and under permutation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from survfuse.models.stacking.partial_likelihood import PartialLikelihood

# A dies at 1, B and C die together at 2, D is censored at 2, E is censored at 3.
TIME = np.array([1.0, 2.0, 2.0, 2.0, 3.0])
EVENT = np.array([True, True, True, False, False])
RATIO = np.array([4.0, 1.0, 2.0, 3.0, 2.0])
FIRST, SECOND = 12.0, 8.0  # hazard at risk at 1 and at 2


def drawn(seed: int, n: int = 25, p: int = 3) -> tuple[np.ndarray, ...]:
    """Log-hazards, columns, times of which many are tied, and events."""
    generator = np.random.default_rng(seed)
    score, x = generator.normal(size=n), generator.normal(size=(n, p))
    return score, x, generator.integers(1, 8, n).astype(float), generator.random(n) < 0.6


def slow_value(score: np.ndarray, time: np.ndarray, event: np.ndarray) -> float:
    """The definition, with Breslow's treatment of ties."""
    at_risk = [np.log(np.exp(score[time >= time[row]]).sum()) for row in range(len(time))]
    return float(sum(score[row] - at_risk[row] for row in np.flatnonzero(event)))


def slope_of(function: Callable[[np.ndarray], Any], at: np.ndarray) -> np.ndarray:
    """Central differences along every coordinate."""
    moves = np.eye(len(at)) * 1e-5
    return np.stack([(function(at + move) - function(at - move)) / 2e-5 for move in moves])


def test_value_and_martingale_residuals_by_hand() -> None:
    value, slope = PartialLikelihood.of(TIME, EVENT).value_and_slope(np.log(RATIO))
    assert value == pytest.approx(np.log(4 / FIRST) + np.log(1 / SECOND) + np.log(2 / SECOND))
    late = 1 / FIRST + 2 / SECOND  # cumulative hazard of those who were there at 2
    expected = [1 - 4 / FIRST, 1 - late, 1 - 2 * late, -3 * late, -2 * late]
    np.testing.assert_allclose(slope, expected)
    assert slope.sum() == pytest.approx(0)


def test_weights_and_curvature_by_hand() -> None:
    likelihood = PartialLikelihood.of(TIME, EVENT)
    first, second = RATIO / FIRST, np.where(TIME >= 2, RATIO, 0) / SECOND
    expected = first * (1 - first) + 2 * second * (1 - second)
    np.testing.assert_allclose(likelihood.weights(np.log(RATIO)), expected)
    x = np.array([1.0, -1.0, 0.0, 2.0, 5.0])
    variance = sum(
        number * (share @ x**2 - (share @ x) ** 2) for number, share in ((1, first), (2, second))
    )
    found = likelihood.curvature(np.log(RATIO), x[:, None])
    np.testing.assert_allclose(found, [[variance]])


@pytest.mark.parametrize("seed", range(4))
def test_derivatives_are_those_of_the_definition(seed: int) -> None:
    score, x, time, event = drawn(seed)
    likelihood = PartialLikelihood.of(time, event)
    assert likelihood.value(score) == pytest.approx(slow_value(score, time, event))
    slope = likelihood.value_and_slope(score)[1]
    np.testing.assert_allclose(slope, slope_of(likelihood.value, score), atol=1e-6)
    gradient = slope_of(lambda moved: likelihood.value_and_slope(moved)[1], score)
    np.testing.assert_allclose(likelihood.weights(score), -np.diag(gradient), atol=1e-6)
    np.testing.assert_allclose(likelihood.curvature(score, x), -x.T @ gradient @ x, atol=1e-5)
    whole = likelihood.curvature(score, np.eye(len(score)))
    np.testing.assert_allclose(np.diag(whole), likelihood.weights(score), atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(
    arrays(float, 12, elements=st.floats(-30, 30)),
    arrays(np.int64, 12, elements=st.integers(1, 4)),
    arrays(bool, 12),
    st.permutations(range(12)),
    st.floats(-200, 200),
)
def test_the_order_of_patients_and_a_constant_change_nothing(
    score: np.ndarray, time: np.ndarray, event: np.ndarray, order: list[int], constant: float
) -> None:
    one = PartialLikelihood.of(time, event)
    other = PartialLikelihood.of(time[order], event[order])
    value, slope = one.value_and_slope(score)
    moved, its_slope = other.value_and_slope(score[order] + constant)
    assert moved == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(its_slope, slope[order], atol=1e-8)
    np.testing.assert_allclose(other.weights(score[order]), one.weights(score)[order], atol=1e-8)
    x = np.stack([np.arange(12.0), np.sin(np.arange(12))], axis=1)
    np.testing.assert_allclose(
        other.curvature(score[order], x[order]), one.curvature(score, x), atol=1e-6
    )


def test_without_events_everything_is_nothing() -> None:
    score, x, time, _ = drawn(0)
    likelihood = PartialLikelihood.of(time, np.zeros(len(time), bool))
    value, slope = likelihood.value_and_slope(score)
    assert value == 0
    assert not slope.any()
    assert not likelihood.weights(score).any()
    assert not likelihood.curvature(score, x).any()
