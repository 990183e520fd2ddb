"""Who is followed long enough to have a class at a horizon, and what each of them stands for.

At a horizon those who had the event stay known, whenever it was; those without must be followed all
the way. The known are therefore enriched with cases, the more so the more are censored. Each known
patient is weighted by 1 / G(min(T, horizon)-), the inverse probability of not being censored before
the class was known, with G Kaplan-Meier's estimate for the time of censoring; events come before
censorings at the same time. On the patients that G is fitted on the weights sum to their number,
and the weighted share of cases is 1 - Kaplan-Meier's survival at the horizon exactly.

Censoring must be independent of the outcome: no covariate is adjusted for.
"""

from __future__ import annotations

import numpy as np

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.intervals import Estimate
from survfuse.statistics.kaplan_meier import observed_risk
from survfuse.tasks.diagnosis.classes import conversion_label


def uncensored_before(outcome: SurvivalOutcome, months: np.ndarray) -> np.ndarray:
    """G(t-) at times (m,): Kaplan-Meier's probability of not being censored before each, (m,)."""
    time, number = np.unique(outcome.time[~outcome.event], return_counts=True)
    later = np.sort(outcome.time[outcome.event])
    still = len(outcome) - np.searchsorted(np.sort(outcome.time[~outcome.event]), time, "left")
    at_risk = still - np.searchsorted(later, time, "right")  # events at that time are over
    kept = np.r_[1.0, np.cumprod(1 - number / at_risk)]
    return kept[np.searchsorted(time, months, "left")]


def known_weights(outcome: SurvivalOutcome, horizon_months: float) -> np.ndarray:
    """1 / G(min(T, horizon)-) of every patient, (n,), with G of these patients.

    NaN for whoever was censored before the horizon: the class is not known, and nothing may read
    it.
    """
    at = np.minimum(outcome.time, horizon_months)
    known = conversion_label(outcome.time, outcome.event, horizon_months) >= 0
    weight = np.full(len(outcome), np.nan)
    weight[known] = 1 / uncensored_before(outcome, at[known])
    return weight


def share_by(outcome: SurvivalOutcome, horizon_months: float, confidence: float) -> Estimate:
    """Kaplan-Meier's share of patients with the event by the horizon, with its interval.

    Follow-up that reaches the horizon is enough. Raises HorizonError where nobody's does and not
    everybody had the event.
    """
    converted = outcome.event & (outcome.time <= horizon_months)
    reached = ~converted & (outcome.time >= horizon_months)
    time = np.where(reached, horizon_months + 1, outcome.time)
    return observed_risk(SurvivalOutcome(time, converted), horizon_months, confidence)
