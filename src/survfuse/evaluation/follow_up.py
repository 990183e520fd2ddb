"""How long patients were followed, and how many had the event, for the summary of a cohort."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from lifelines import KaplanMeierFitter

from survfuse.config.cohort import Endpoint


def described_follow_up(outcomes: pd.DataFrame, endpoint: Endpoint) -> dict[str, Any]:
    """Events, censoring and follow-up."""
    return {
        "n_events": int(outcomes["event"].sum()),
        "censored_share": float(1 - outcomes["event"].mean()),
        "median_follow_up_months": median_follow_up(outcomes),
        "endpoint": {"name": endpoint.name, "definition": endpoint.definition},
    }


def median_follow_up(outcomes: pd.DataFrame) -> float | None:
    """Median follow-up in months by reverse Kaplan-Meier, where being censored is the event.

    Schemper and Smith, Control Clin Trials 1996;17:343. None where the curve stays above one half.
    """
    curve = KaplanMeierFitter().fit(outcomes["time_months"], 1 - outcomes["event"])
    median = float(curve.median_survival_time_)
    return median if math.isfinite(median) else None
