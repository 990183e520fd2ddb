"""What outcomes.tsv and train.tsv hold for each task, and how folds are stratified by it.

Every task declares it in its folder. Tables are read and folds made without the configuration, so
a task is known by its columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
import pandas as pd

from survfuse.config.cohort import CohortConfig
from survfuse.tasks.registry import TASKS, declared


class TrainingOutcome(Protocol):
    """What may be learned from of n patients, whatever the task; the class is its own.

    Rows (m,) of it, by number or as a mask (n,), are the outcomes of these patients.
    """

    def __getitem__(self, rows: np.ndarray) -> Self: ...

    @property
    def known(self) -> np.ndarray:
        """(n,) bool: whose outcome can be learned from."""

    def counted(self) -> dict[str, int]:
        """How many there are of what is learned from, for fit.json."""


@dataclass(frozen=True)
class OutcomeColumns:
    """The outcome columns of one task, and what is made of them.

    types: columns that are always there. optional: those that may be. strata: the stratum (n,) of
    every patient, a count from 0, spread evenly over the folds. groups: (n,) whole numbers; each
    group gives `validation_fraction` of its patients to the validation part. needed: the groups
    that the validation part must have; None for all. learned: what training is given of a table,
    with the section `cohort` of the configuration.

    What no input may repeat, see `sheets.leaks`: classes: columns of classes. ordered: a column of
    numbers, if any, and observed: the column that is above 0 where they are exact, if not
    everywhere. Parsed outcomes with a problem have NaN in the one, or less than 0 in the other.
    """

    types: dict[str, type]
    groups: Callable[[pd.DataFrame], np.ndarray]
    strata: Callable[[pd.DataFrame], np.ndarray]
    learned: Callable[[pd.DataFrame, CohortConfig], TrainingOutcome]
    needed: tuple[int, ...] | None = None
    optional: dict[str, type] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    ordered: str = ""
    observed: str = ""

    def present(self, frame: pd.DataFrame) -> dict[str, type]:
        """The columns that a table has, and their types."""
        every = {**self.optional, **self.types}
        return {name: kind for name, kind in every.items() if name in frame}

    def sound(self, frame: pd.DataFrame) -> pd.Series[bool]:
        """Rows of parsed outcomes without a problem."""
        rows = pd.Series(True, index=frame.index)
        if self.ordered in frame:
            rows &= frame[self.ordered].notna()
        if self.observed in frame:
            rows &= frame[self.observed] >= 0
        return rows


def columns_by_task() -> dict[str, OutcomeColumns]:
    """The outcome columns of every task."""
    return {task: declared(task, "outcomes") for task in TASKS}


def columns_in(frame: pd.DataFrame) -> OutcomeColumns | None:
    """The outcome columns that a table has; None where it has those of no task.

    Of several tasks whose columns are there the one that most of them belong to: at a horizon,
    classes come with follow-up.
    """
    there = [one for one in columns_by_task().values() if all(name in frame for name in one.types)]
    return max(there, key=lambda one: len(one.present(frame)), default=None)


def columns_of(frame: pd.DataFrame) -> OutcomeColumns:
    """The outcome columns of a table that was checked to have some."""
    if (found := columns_in(frame)) is None:
        raise ValueError(f"no task has the outcome columns {', '.join(map(str, frame))}")
    return found
