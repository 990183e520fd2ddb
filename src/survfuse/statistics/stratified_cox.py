"""One coefficient of a Cox model stratified by fold, and what each stratum says of it.

Patients are compared within their stratum only, so that the level of a fold's predictions, which
falls where its test part happens to have many events, says nothing. Ties as in Efron, JASA
1977;72:557; equal to lifelines' `CoxPHFitter(strata=...)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.intervals import NotEstimableError

MOST_STEPS = 200
# In standard deviations of the predictor: a hazard ratio beyond e^30 per deviation is no number.
STEEPEST = 30.0
TOLERANCE = 1e-10


@dataclass(frozen=True)
class StratifiedSlope:
    """A coefficient, and at its value the score and the information of each stratum (k,).

    The scores sum to 0. A stratum without comparable patients has neither.
    """

    value: float
    score: np.ndarray
    information: np.ndarray


@dataclass(frozen=True)
class RiskSets:
    """Who was at risk at each event: positions into patients sorted by stratum, then time.

    For the i-th of e events: `event` its patient, `start` the first patient at risk, `end` one past
    the last, `tied` one past the last patient with the same time, and `removed` the share of the
    tied events that Efron's method takes out. `stratum` (e,) counts the strata from 0.
    """

    order: np.ndarray
    event: np.ndarray
    start: np.ndarray
    end: np.ndarray
    tied: np.ndarray
    removed: np.ndarray
    dying: np.ndarray  # (n,) sorted, 1 for an event
    stratum: np.ndarray
    n_strata: int


def risk_sets(outcome: SurvivalOutcome, stratum: np.ndarray) -> RiskSets:
    """The risk sets of an outcome within strata (n,). Raises NotEstimableError without events."""
    code = np.unique(stratum, return_inverse=True)[1]
    order = np.lexsort((outcome.time, code))
    code, time, dying = code[order], outcome.time[order], outcome.event[order]
    if not dying.any():
        raise NotEstimableError("no event, so there is no slope")
    new_stratum = np.r_[True, np.diff(code) > 0]
    group = np.cumsum(new_stratum | np.r_[True, np.diff(time) > 0]) - 1
    first = np.flatnonzero(np.r_[True, np.diff(group) > 0])
    last = np.r_[first[1:], len(time)]
    event = np.flatnonzero(dying)
    of = group[event]
    deaths = np.bincount(group, weights=dying)[of]
    rank = np.arange(len(event)) - np.searchsorted(of, of)  # among the events of the same time
    end = np.searchsorted(code, code[event], side="right")
    return RiskSets(
        order, event, first[of], end, last[of], rank / deaths, dying.astype(float), code[event],
        int(code.max()) + 1,
    )  # fmt: skip


def stratified_slope(
    outcome: SurvivalOutcome, predictor: np.ndarray, stratum: np.ndarray
) -> StratifiedSlope:
    """The Cox coefficient of a predictor (n,) within strata (n,).

    Raises NotEstimableError without events, where the predictor does not vary within any stratum,
    and where it separates the events, so that the fit has no end.
    """
    sets = risk_sets(outcome, stratum)
    code = np.unique(stratum, return_inverse=True)[1]
    means = np.bincount(code, weights=predictor) / np.bincount(code)
    centred = predictor - means[code]
    spread = float(centred.std())
    if spread < 1e-12 * max(1.0, float(np.abs(predictor).max())):
        raise NotEstimableError("all patients have the same prediction, so there is no slope")
    x = (centred / spread)[sets.order]
    low, high, slope = -2 * STEEPEST, 2 * STEEPEST, 0.0
    known = 0.0
    for _ in range(MOST_STEPS):
        with np.errstate(divide="ignore", invalid="ignore"):  # a fit without end runs out of digits
            score, information = score_and_information(sets, x, slope)
        total, known = float(score.sum()), float(information.sum())
        if not np.isfinite(total + known):
            known = 0.0
            break
        low, high = (slope, high) if total > 0 else (low, slope)
        step = total / known if known > 0 else np.copysign(np.inf, total)
        proposed = slope + step
        if abs(step) < TOLERANCE:
            break
        slope = proposed if low < proposed < high else (low + high) / 2
    if abs(slope) > STEEPEST or known <= TOLERANCE:
        raise NotEstimableError("the Cox fit of the calibration slope diverges")
    return StratifiedSlope(slope / spread, score * spread, information * spread**2)


def score_and_information(
    sets: RiskSets, x: np.ndarray, slope: float
) -> tuple[np.ndarray, np.ndarray]:
    """First and negative second derivative of the log partial likelihood, by stratum (k,)."""
    hazard = np.exp(slope * x - (slope * x).max())
    moments = hazard * np.stack([np.ones_like(x), x, x**2])
    at_risk = sums_between(moments, sets.start, sets.end)
    tied = sums_between(moments * sets.dying, sets.start, sets.tied)
    zeroth, first, second = at_risk - sets.removed * tied
    mean = first / zeroth
    score = np.bincount(sets.stratum, weights=x[sets.event] - mean, minlength=sets.n_strata)
    spread = np.maximum(second / zeroth - mean**2, 0)
    return score, np.bincount(sets.stratum, weights=spread, minlength=sets.n_strata)


def sums_between(values: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sums of values (..., n) over the positions start to end, each (e,): (..., e)."""
    total = np.concatenate([np.zeros((*values.shape[:-1], 1)), values.cumsum(axis=-1)], axis=-1)
    return total[..., end] - total[..., start]
