"""Lower, middle and higher risk: what was observed in thirds of the estimates.

The thirds are of the very number that a patient page prints: the recalibrated estimate at the last
horizon that has one, over the whole cohort (see `recalibration`). So the group of a patient and the
estimate cannot contradict each other, and what was observed in a group is what its estimates say,
on average. No log-rank p-value is given. On groups made from cross-validated predictions it rejects
a true null more than twice as often as it says, because every fold's model was trained on the other
folds' outcomes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.intervals import Estimate, NotEstimableError
from survfuse.statistics.kaplan_meier import at_risk, at_risk_times, curve, observed_risk
from survfuse.statistics.metrics import HorizonError

GROUPS = ("low", "middle", "high")


def assign_groups(risk: np.ndarray) -> np.ndarray:
    """0, 1 or 2 (low, middle, high) for each patient, (n,); tied risks share a group."""
    middle_rank = pd.Series(risk).rank().to_numpy() - 0.5
    return np.floor(len(GROUPS) * middle_rank / len(risk)).astype(int)


def risk_groups(
    outcome: SurvivalOutcome,
    assigned: np.ndarray,
    risk: np.ndarray,
    months: float,
    confidence: float,
) -> list[dict[str, Any]]:
    """Kaplan-Meier curve and at-risk table of each group that has patients.

    `assigned` (n,) as from `assign_groups`; `risk` (n,): the estimates by the horizon `months`,
    whose mean in the group stands beside what was observed there by then.
    """
    times = at_risk_times(outcome)
    rows = []
    for number, name in enumerate(GROUPS):
        members = np.flatnonzero(assigned == number)
        own = outcome[members]
        if len(own):
            counted = {"group": name, "n": len(own), "events": int(own.event.sum())}
            by = {
                "months": months,
                "estimated": float(risk[members].mean()),
                "observed": observed_by(own, months, confidence).as_json(),
            }
            drawn = curve(own, confidence).as_json()
            rows.append({**counted, **by, **drawn, "at_risk": at_risk(own, times)})
    return rows


def observed_by(outcome: SurvivalOutcome, months: float, confidence: float) -> Estimate:
    """1 - Kaplan-Meier at a time; without a value where follow-up ends before."""
    try:
        return observed_risk(outcome, months, confidence)
    except (HorizonError, NotEstimableError) as error:
        return Estimate(reason=str(error))
