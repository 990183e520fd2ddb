"""Time bins: merging, membership, and survival between the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survfuse.core.errors import UserInputError
from survfuse.tasks.survival.bins import (
    bin_index,
    exposure,
    fit_bins,
    marginal_logits,
    survival_at,
)

EDGES = [6.0, 12.0, 24.0, 36.0, 60.0]


def fitted(times: list[float], events: list[int], min_events: int) -> list[float]:
    return fit_bins(EDGES, times, events, min_events).tolist()


def test_bins_with_enough_events_are_kept() -> None:
    assert fitted([1, 7, 13, 25, 37, 61], [1] * 6, 1) == EDGES


def test_a_bin_with_too_few_events_joins_the_next() -> None:
    assert fitted([1, 7, 8, 13, 14, 25, 26, 37, 38, 61], [1] * 10, 2) == [12.0, 24.0, 36.0, 60.0]


def test_a_remainder_joins_the_bin_before() -> None:
    assert fitted([1, 2, 7, 8, 13, 14, 25, 61], [1] * 8, 2) == [6.0, 12.0, 60.0]


def test_censored_patients_do_not_fill_bins_but_keep_the_last_edge() -> None:
    assert fitted([1, 2, 7, 8, 70], [1, 1, 0, 0, 0], 2) == [60.0]


def test_edges_beyond_all_follow_up_are_dropped() -> None:
    assert fitted([1, 2, 7, 8, 24], [1] * 5, 2) == [6.0, 24.0]
    assert fitted([1, 2, 7, 8, 23.9], [1] * 5, 2) == [6.0, 12.0]


def test_an_event_at_an_edge_belongs_to_the_next_bin() -> None:
    assert fitted([6, 61], [1, 1], 1) == [60.0]
    assert fitted([5.999, 61], [1, 1], 1) == [60.0]
    assert fitted([5.999, 6, 61], [1, 1, 1], 1) == [6.0, 60.0]


@pytest.mark.parametrize(
    ("times", "events"), [([1, 2, 70], [1, 1, 1]), ([1, 2, 3, 5], [1] * 4), ([9, 80], [0, 0])]
)
def test_too_few_events_are_explained(times: list[float], events: list[int]) -> None:
    with pytest.raises(UserInputError, match=r"need 3 training events .*min_events_per_bin"):
        fit_bins(EDGES, times, events, 3)


PATIENTS = st.lists(st.tuples(st.floats(0.01, 150), st.booleans()), min_size=1, max_size=80)


@settings(deadline=None, max_examples=200)
@given(PATIENTS, st.integers(1, 6))
def test_every_finite_bin_has_its_events(
    patients: list[tuple[float, bool]], min_events: int
) -> None:
    time, event = (np.array(column) for column in zip(*patients, strict=True))
    try:
        edges = fit_bins(EDGES, time, event, min_events)
    except UserInputError:
        reached = [edge for edge in EDGES if (time >= edge).any()]
        assert not reached or np.sum(event & (time < reached[-1])) < min_events
        return
    assert set(edges) <= set(EDGES)
    assert (np.diff(edges) > 0).all()
    own = bin_index(time, edges)
    events = np.bincount(own[event.astype(bool)], minlength=len(edges) + 1)
    assert (events[:-1] >= min_events).all()
    assert (own == len(edges)).any(), "somebody is followed into the open bin"


def test_bins_are_closed_below_and_open_above() -> None:
    times = [0.0, 5.99, 6.0, 11.0, 12.0, 1e9]
    assert bin_index(times, [6.0, 12.0]).tolist() == [0, 0, 1, 1, 2, 2]


def test_exposure_within_the_bin() -> None:
    times = [0.0, 3.0, 6.0, 11.0, 12.0, 50.0]
    found = exposure(times, [6.0, 16.0, 40.0])
    assert found.tolist() == pytest.approx([0.0, 0.5, 0.0, 0.5, 0.6, 1.0])


def test_survival_between_edges_has_a_constant_hazard() -> None:
    surv = np.array([[0.81, 0.2, 0.1]])
    found = survival_at(surv, [6.0, 12.0], [0.0, 3.0, 6.0, 9.0, 12.0, 12.001])[0]
    assert found[:5].tolist() == pytest.approx([1.0, 0.9, 0.81, math.sqrt(0.81 * 0.2), 0.2])
    assert np.isnan(found[5])


def test_open_bin_is_never_read() -> None:
    surv = np.array([[0.5, 0.4], [0.5, np.nan]])
    found = survival_at(surv, [10.0], [5.0, 10.0, 11.0])
    np.testing.assert_array_equal(found[0], found[1])


def test_survival_that_has_underflowed_stays_finite() -> None:
    found = survival_at(np.array([[0.5, 0.0, 0.0]], dtype=np.float32), [1.0, 2.0], [1.0, 1.5, 2.0])
    assert np.isfinite(found).all()
    assert found[0].tolist() == pytest.approx([0.5, 0.0, 0.0], abs=1e-100)


def test_wrong_shapes_and_times_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit 2 edges"):
        survival_at(np.ones((3, 2)), [1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="negative time"):
        survival_at(np.ones((3, 2)), [1.0], [-1.0])


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
    st.lists(st.floats(0, 200), min_size=1, max_size=30),
)
def test_interpolated_curves_never_rise(hazards: list[float], times: list[float]) -> None:
    surv = np.cumprod(1 - np.array([hazards]), axis=1)
    edges = 10.0 * np.arange(1, len(hazards))
    found = survival_at(surv, edges, sorted(times))[0]
    known = found[~np.isnan(found)]
    assert ((known >= 0) & (known <= 1)).all()
    assert (np.diff(known) <= 1e-12).all()
    assert np.isnan(found).tolist() == [time > edges[-1] for time in sorted(times)]


def test_marginal_logits_are_the_smoothed_actuarial_hazards() -> None:
    time = np.array([1.0, 3.0, 6.0, 8.0, 20.0])
    event = np.array([True, False, True, False, False])
    hazard = 1 / (1 + np.exp(-marginal_logits(time, event, [4.0, 10.0])))
    # Bin 1: one event among 1 + 3/4 + 3; bin 2: one among 1 + 4/6 + 1; open bin: none of 1.
    expected = [(1 + 0.5) / (4.75 + 1), (1 + 0.5) / (1 + 4 / 6 + 1 + 1), 0.5 / 2]
    np.testing.assert_allclose(hazard, expected)
