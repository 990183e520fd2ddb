"""Kaplan-Meier curves with intervals, at-risk tables, and the estimate at one time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.intervals import Estimate
from survfuse.statistics.metrics import HorizonError

AT_RISK_STEPS_MONTHS = (1, 3, 6, 12, 24, 36, 60, 120)
MOST_AT_RISK_COLUMNS = 8


@dataclass(frozen=True)
class Curve:
    """A step function: survival (k,) from each time (k,) in months on, with its interval."""

    time: np.ndarray
    survival: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def as_json(self) -> dict[str, list[float]]:
        return {
            "time": self.time.tolist(),
            "survival": self.survival.tolist(),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
        }


def curve(outcome: SurvivalOutcome, confidence: float) -> Curve:
    """The Kaplan-Meier curve from time 0 with its log-log interval, through scikit-survival.

    Where the curve reaches 0 the log-log interval collapses to a point; its last upper limit is
    kept instead, as the end of a curve is where the least is known.
    """
    from sksurv.nonparametric import kaplan_meier_estimator  # a second that reports save

    time, survival, (low, high) = kaplan_meier_estimator(
        outcome.event, outcome.time, conf_level=confidence, conf_type="log-log"
    )
    if time[0] > 0:
        time, survival, low, high = np.r_[0, time], *(np.r_[1, y] for y in (survival, low, high))
    ended = int(np.searchsorted(-survival, 0))  # the first time at which nobody is left
    if ended < len(time):
        high[ended:] = high[max(ended - 1, 0)]
    return Curve(time, survival, low, high)


def at_risk(outcome: SurvivalOutcome, times_months: np.ndarray) -> list[dict[str, float]]:
    """Patients still followed at each time, and events and censorings before it."""
    return [
        {
            "time": float(months),
            "n": int((outcome.time >= months).sum()),
            "events": int((outcome.event & (outcome.time < months)).sum()),
            "censored": int((~outcome.event & (outcome.time < months)).sum()),
        }
        for months in times_months
    ]


def at_risk_times(outcome: SurvivalOutcome) -> np.ndarray:
    """Even times from 0 to the end of follow-up, a few, in steps a reader knows."""
    last = outcome.time.max()
    fitting = [step for step in AT_RISK_STEPS_MONTHS if last / step < MOST_AT_RISK_COLUMNS]
    step = fitting[0] if fitting else AT_RISK_STEPS_MONTHS[-1]
    return np.arange(0, last + 1e-9, step, dtype=float)


def observed_risk(outcome: SurvivalOutcome, months: float, confidence: float) -> Estimate:
    """1 - Kaplan-Meier at a time, with its interval.

    Raises HorizonError if follow-up ends before and not everybody had the event. Without any
    event, or with nothing but events, the log-log interval is a point; the exact binomial limit
    takes its place.
    """
    fitted = curve(outcome, confidence)
    step = int(np.searchsorted(fitted.time, months, side="right")) - 1
    survival = float(fitted.survival[step])
    tail = (0.5 - confidence / 2) ** (1 / len(outcome))
    if survival == 0:
        return Estimate(1.0, tail, 1.0)
    if not (outcome.time >= months).any():
        raise HorizonError(f"nobody of {len(outcome)} patients is followed up to {months:g} months")
    if survival == 1:
        at_risk_then = int((outcome.time >= months).sum())
        return Estimate(0.0, 0.0, 1 - (0.5 - confidence / 2) ** (1 / at_risk_then))
    return Estimate(1 - survival, float(1 - fitted.high[step]), float(1 - fitted.low[step]))


def survival_at(outcome: SurvivalOutcome, months: float, counts: np.ndarray) -> np.ndarray:
    """Kaplan-Meier at a time with patient multiplicities (B, n), for bootstraps: (B,).

    NaN where a resample's follow-up ends before and not everybody drawn had the event.
    """
    order = np.argsort(outcome.time, kind="stable")
    time, drawn = outcome.time[order], counts[:, order]
    first = np.flatnonzero(np.r_[True, np.diff(time) > 0])  # one column per distinct time
    leaving = np.add.reduceat(drawn, first, axis=1)
    deaths = np.add.reduceat(drawn * outcome.event[order], first, axis=1)
    remaining = leaving[:, ::-1].cumsum(axis=1)[:, ::-1]
    early = time[first] <= months
    kept = 1 - deaths[:, early] / np.maximum(remaining[:, early], 1)
    survival = kept.prod(axis=1)
    followed = leaving[:, time[first] >= months].sum(axis=1) > 0
    return np.where(followed | (survival == 0), survival, np.nan)
