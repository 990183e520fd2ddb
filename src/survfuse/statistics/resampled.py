"""Concordance and calibration slope of one fixed prediction, in all resamples of a cohort at once.

A resample only says how often each patient counts, so that sums over pairs and over risk sets
serve all of them. For predictions by models that no patient of the cohort has trained, of which
nothing but the choice of patients varies.
"""

from __future__ import annotations

import numpy as np

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.calibration import CERTAIN, ended_at
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import comparable_pairs, ranks, require_follow_up, structured

MOST_PAIRS = 2**22  # cells of the matrix of pairs that are held at a time
MOST_STEPS = 40
CONVERGED = 1e-8
STEEPEST = 30.0  # per standard deviation; beyond, the prediction separates the events
RANKS_NOBODY = "all patients have the same estimate, so that nobody is ranked"


def harrell_draws(outcome: SurvivalOutcome, risk: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Harrell's C of risks (n,) in the cohort and in every resample, (1 + B,).

    `counts` (1 + B, n) as from `draw_counts`. NaN where a resample has no comparable pair. The same
    convention as `metrics.harrell_c`. Raises NotEstimableError where the cohort has no such pair,
    or all risks are equal.
    """
    comparable_pairs(outcome)
    return concordance_draws(outcome, risk, np.ones(len(outcome)), np.inf, counts)


def uno_draws(
    outcome: SurvivalOutcome, risk: np.ndarray, tau_months: float, counts: np.ndarray
) -> np.ndarray:
    """Uno's C, as `harrell_draws`; the censoring weights are those of the whole cohort.

    The same convention as `metrics.uno_c`. Raises HorizonError if nobody is followed up to tau.
    """
    from sksurv.nonparametric import CensoringDistributionEstimator

    require_follow_up(outcome, tau_months, "the cohort")
    comparable_pairs(outcome, tau_months)
    weight = np.zeros(len(outcome))
    counted = outcome.event & (outcome.time < tau_months)
    censoring = CensoringDistributionEstimator().fit(structured(outcome))
    weight[counted] = censoring.predict_proba(outcome.time[counted]) ** -2.0
    return concordance_draws(outcome, risk, weight, tau_months, counts)


def concordance_draws(
    outcome: SurvivalOutcome,
    risk: np.ndarray,
    weight: np.ndarray,
    before_months: float,
    counts: np.ndarray,
) -> np.ndarray:
    """Share of the weighted comparable pairs in the right order, tied risks counting half.

    `weight` (n,): of the patient with the earlier event.
    """
    rank = ranks(risk)
    if not rank.any():
        raise NotEstimableError(RANKS_NOBODY)
    time, event = outcome.time, outcome.event
    first = np.flatnonzero(event & (time < before_months))
    wins = pairs = np.zeros(len(counts))
    step = max(1, MOST_PAIRS // len(time))
    for start in range(0, len(first), step):
        own = first[start : start + step]
        later = time > time[own, None]
        outlived = later | ((time == time[own, None]) & ~event)
        ahead = 0.5 * (1 + np.sign(rank[own, None] - rank))
        drawn = counts[:, own] * weight[own]
        pairs = pairs + ((drawn @ outlived.astype(float)) * counts).sum(axis=1)
        wins = wins + ((drawn @ (outlived * ahead)) * counts).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: np.ndarray = wins / pairs
    return found


def slope_draws(
    outcome: SurvivalOutcome, survival: np.ndarray, months: float, counts: np.ndarray
) -> np.ndarray:
    """Cox coefficient of log(-log S(t | x)) on follow-up up to t, by resample, (1 + B,).

    `survival` (n,) at t. What `calibration.calibration_slope` is for one model, but that events at
    the same time are taken as Breslow did: patients who are drawn twice have one. NaN where the fit
    has no end. Raises HorizonError if follow-up ends before t, NotEstimableError without events by
    then, or where all predictions are equal.
    """
    require_follow_up(outcome, months, "the cohort")
    until = ended_at(outcome, months)
    if not until.event.any():
        raise NotEstimableError("no event, so there is no slope")
    predictor = np.log(-np.log(np.clip(survival, CERTAIN, 1 - CERTAIN)))
    spread = float(predictor.std())
    if spread < CERTAIN:
        raise NotEstimableError("all patients have the same prediction, so there is no slope")
    order = np.argsort(-until.time, kind="stable")  # the last first: sums run over who is at risk
    x = ((predictor - predictor.mean()) / spread)[order]
    time, dying, drawn = until.time[order], until.event[order], counts[:, order]
    last = np.searchsorted(-time, -time, side="right") - 1  # of those at risk at the same time
    deaths = drawn * dying
    own = last[dying]
    beta = np.zeros(len(counts))
    for _ in range(MOST_STEPS):
        hazard = drawn * np.exp(np.clip(beta[:, None] * x, -50, 50))
        zeroth, first, second = (
            np.cumsum(hazard * power, axis=1)[:, own] for power in (1.0, x, x**2)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = first / zeroth
            spread_at = second / zeroth - mean**2
            weighed = deaths[:, dying]
            score = np.where(weighed > 0, weighed * (x[dying] - mean), 0).sum(axis=1)
            information = np.where(weighed > 0, weighed * spread_at, 0).sum(axis=1)
            step = np.clip(score / information, -1, 1)
        if not (np.abs(step[np.isfinite(step)]) > CONVERGED).any():
            break
        beta = beta + np.nan_to_num(step)
    bounded = np.isfinite(step) & (np.abs(beta) < STEEPEST)
    return np.where(bounded, beta, np.nan) / spread
