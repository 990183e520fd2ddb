"""What became of patients beside what was estimated of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.intervals import Estimate
from survfuse.statistics.kaplan_meier import observed_risk
from survfuse.statistics.metrics import HorizonError

FEWEST = 10  # patients with what is compared; fewer say too little


def beside(name: str, n: int, events: int, expected: float, found: Estimate) -> dict[str, Any]:
    """One comparison: the expected and the observed share, and their ratio with its interval.

    That is of chance in who had the event; the error of the estimates is not in it.
    """
    low, high = found.low, found.high

    def ratio(share: float | None) -> float | None:
        return None if share is None or not expected else share / expected

    return {
        "name": name,
        "n": n,
        "events": events,
        "expected": expected,
        "observed": {"value": found.value, "low": low, "high": high},
        "ratio": {"value": ratio(found.value), "low": ratio(low), "high": ratio(high)},
    }


def by_follow_up(
    estimates: Sequence[Mapping[str, Any]], outcomes: pd.DataFrame, confidence: float
) -> list[dict[str, Any]]:
    """At each horizon 1 - Kaplan-Meier beside the mean risk, where there are events enough by then.

    `estimates`: of n patients, as of their records. `outcomes`: `time_months` and `event` of these.
    """
    time = outcomes["time_months"].to_numpy(dtype=float)
    event = outcomes["event"].to_numpy() == 1
    found = []
    for months in sorted({one["months"] for each in estimates for one in each["horizons"]}):
        risks = {
            row: one["risk"]
            for row, each in enumerate(estimates)
            for one in each["horizons"]
            if one["months"] == months
        }
        rows = np.array(list(risks))
        events = int((event[rows] & (time[rows] <= months)).sum())
        if events < FEWEST:
            continue
        try:
            by_then = observed_risk(SurvivalOutcome(time[rows], event[rows]), months, confidence)
        except HorizonError:
            continue  # nobody was followed so long
        name, mean = f"within {months:g} months", float(np.mean(list(risks.values())))
        found.append(beside(name, len(rows), events, mean, by_then))
    return found
