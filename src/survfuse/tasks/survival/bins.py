"""Time bins: fitted on training patients, and survival between their edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from survfuse.core.errors import UserInputError

Floats = NDArray[np.float64]


def fit_bins(
    edges_months: Sequence[float], time: ArrayLike, event: ArrayLike, min_events: int
) -> Floats:
    """Merge the clinical bins until each finite one has `min_events` training events.

    edges_months: increasing upper edges. time: (n,) months; event: (n,) 0 or 1; both of training
    patients. Returns the upper edges of the finite bins, K - 1 of K: an open bin follows. Edges
    that no training patient is followed to are dropped first, because nothing could be learned
    beyond them. Then each bin with too few events joins the next one, and a remainder the one
    before, so that survival stays estimable up to the last edge that is left. The open bin may have
    any number of events: the curve ends where it begins.

    Raises UserInputError when all finite bins together have fewer events.
    """
    time, event = np.asarray(time, dtype=float), np.asarray(event).astype(bool)
    reached = [edge for edge in edges_months if np.any(time >= edge)]
    events_before = [int(np.sum(event & (time < edge))) for edge in reached]
    if not reached or events_before[-1] < min_events:
        found = events_before[-1] if reached else 0
        raise UserInputError(
            f"the time bins need {min_events} training events before an edge that somebody is "
            f"followed to, found {found}; lower training.min_events_per_bin or change "
            "training.bins_months"
        )
    kept, used = [], 0
    for edge, so_far in zip(reached, events_before, strict=True):
        if so_far - used >= min_events:
            kept.append(edge)
            used = so_far
    kept[-1] = reached[-1]
    return np.array(kept)


def bin_index(time: ArrayLike, edges: ArrayLike) -> NDArray[np.int64]:
    """Bin of each time, 0 to len(edges); bins are [lower, upper), the last one open."""
    return np.searchsorted(edges, time, side="right").astype(np.int64)


def exposure(time: ArrayLike, edges: ArrayLike) -> Floats:
    """Share of its own bin before each time, 0 to 1; 1 in the open bin, which has no length."""
    time, knots = np.asarray(time, dtype=float), np.concatenate([[0.0], edges, [np.inf]])
    own = bin_index(time, edges)
    share = (time - knots[own]) / (knots[own + 1] - knots[own])
    return np.where(own == len(knots) - 2, 1.0, share)


def marginal_logits(time: ArrayLike, event: ArrayLike, edges: ArrayLike) -> Floats:
    """Logits (K,) of the hazards of the bins in a group of patients, whatever their inputs.

    The actuarial estimate: events over patients at risk, the censored counting for the part of
    their bin that was observed. Half an event and one patient are added, so that a bin without
    events has a finite logit.
    """
    own, event = bin_index(time, edges), np.asarray(event, dtype=bool)
    bins = np.arange(len(np.asarray(edges)) + 1)
    observed = np.where(event, 1.0, exposure(time, edges))
    at_risk = np.where(
        own[:, None] > bins, 1.0, np.where(own[:, None] == bins, observed[:, None], 0.0)
    )
    events = ((own[:, None] == bins) & event[:, None]).sum(axis=0)
    hazard = (events + 0.5) / (at_risk.sum(axis=0) + 1.0)
    return np.log(hazard / (1.0 - hazard))


def survival_at(surv_at_edges: ArrayLike, edges: ArrayLike, times: ArrayLike) -> Floats:
    """Survival at arbitrary times from survival at the ends of the K bins.

    surv_at_edges: (n, K), K = len(edges) + 1; the last column belongs to the open bin and is not
    used. times: (T,) months, none negative. Returns (n, T), with S(0) = 1, log-linear within a bin
    (constant hazard), and NaN beyond the last edge, where nothing is estimable.

    Raises ValueError when the shapes disagree or a time is negative.
    """
    surv, edges, times = np.asarray(surv_at_edges), np.asarray(edges), np.asarray(times)
    if surv.ndim != 2 or surv.shape[1] != len(edges) + 1:
        raise ValueError(f"survival of shape {surv.shape} does not fit {len(edges)} edges")
    if np.any(times < 0):
        raise ValueError("survival is asked for at a negative time")
    knots = np.concatenate([[0.0], edges])
    smallest = np.finfo(float).tiny  # keeps log finite where survival has underflowed to zero
    logs = np.log(np.clip(surv[:, :-1].astype(float), smallest, 1.0))
    logs = np.concatenate([np.zeros((len(surv), 1)), logs], axis=1)
    upper = np.clip(np.searchsorted(knots, times, side="left"), 1, len(edges))
    share = (times - knots[upper - 1]) / (knots[upper] - knots[upper - 1])
    between = np.exp(logs[:, upper - 1] * (1 - share) + logs[:, upper] * share)
    return np.where(times <= knots[-1], between, np.nan)
