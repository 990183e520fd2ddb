"""What outcomes.tsv and train.tsv hold for each task, and how folds are stratified by it.

Tables are read and folds made without the configuration, so a task is known by its columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from survfuse.tasks.diagnosis.classes import UNKNOWN

TIME_STRATA = 4  # per value of event


@dataclass(frozen=True)
class OutcomeColumns:
    """The outcome columns of one task.

    types: columns that are always there. optional: those that may be. strata: the stratum (n,) of
    every patient, a count from 0, spread evenly over the folds. group: the column of whose values
    each gives `validation_fraction` of its patients to the validation part. needed: the values
    that the validation part must have; None for all.
    """

    types: dict[str, type]
    group: str
    strata: Callable[[pd.DataFrame], np.ndarray]
    needed: tuple[int, ...] | None = None
    optional: dict[str, type] = field(default_factory=dict)

    def present(self, frame: pd.DataFrame) -> dict[str, type]:
        """The columns that a table has, and their types."""
        every = {**self.optional, **self.types}
        return {name: kind for name, kind in every.items() if name in frame}


def follow_up_strata(outcomes: pd.DataFrame) -> np.ndarray:
    """Time quarters of the events (0-3) and of the censored (4-7)."""
    ordered = outcomes.sort_values(["time_months", "patient_id"])
    by_event = ordered.groupby("event")["patient_id"]
    quarter = by_event.cumcount() * TIME_STRATA // by_event.transform("size")
    return (quarter + TIME_STRATA * (1 - ordered["event"])).sort_index().to_numpy()


def class_strata(outcomes: pd.DataFrame) -> np.ndarray:
    """The class, with a stratum of its own for those of unknown class."""
    return outcomes["label"].to_numpy() - UNKNOWN


FOLLOW_UP: dict[str, type] = {"time_months": float, "event": int}
# By task. The first whose columns a table has is meant: at a horizon, classes come with follow-up.
OUTCOMES = {
    "diagnosis": OutcomeColumns({"label": int}, "label", class_strata, optional=FOLLOW_UP),
    "survival": OutcomeColumns(FOLLOW_UP, "event", follow_up_strata, needed=(1,)),
}


def columns_in(frame: pd.DataFrame) -> OutcomeColumns | None:
    """The outcome columns that a table has; None where it has those of no task."""
    for declared in OUTCOMES.values():
        if all(name in frame for name in declared.types):
            return declared
    return None


def columns_of(frame: pd.DataFrame) -> OutcomeColumns:
    """The outcome columns of a table that was checked to have some."""
    if (declared := columns_in(frame)) is None:
        raise ValueError(f"no task has the outcome columns {', '.join(map(str, frame))}")
    return declared
