"""The outcomes of survival: a time, and whether the event was observed at it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survfuse.artifacts.follow_up import COLUMNS, follow_up_in
from survfuse.artifacts.outcome_columns import OutcomeColumns

TIME_STRATA = 4  # per value of event


def follow_up_strata(outcomes: pd.DataFrame) -> np.ndarray:
    """Time quarters of the events (0-3) and of the censored (4-7)."""
    ordered = outcomes.sort_values(["time_months", "patient_id"])
    by_event = ordered.groupby("event")["patient_id"]
    quarter = by_event.cumcount() * TIME_STRATA // by_event.transform("size")
    return (quarter + TIME_STRATA * (1 - ordered["event"])).sort_index().to_numpy()


OUTCOMES = OutcomeColumns(
    COLUMNS,
    groups=lambda outcomes: outcomes["event"].to_numpy(),
    strata=follow_up_strata,
    learned=lambda outcomes, _: follow_up_in(outcomes),
    needed=(1,),
    classes=("event",),
    ordered="time_months",
    observed="event",
)
