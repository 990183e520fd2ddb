"""The outcomes of a diagnosis: a class, which is not known of everybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse.artifacts.follow_up import COLUMNS, FollowUp, follow_up_in
from survfuse.artifacts.outcome_columns import OutcomeColumns
from survfuse.artifacts.study import SurvivalOutcome
from survfuse.config.cohort import CohortConfig
from survfuse.statistics.censoring import known_weights
from survfuse.tasks.diagnosis.asked import asked_of
from survfuse.tasks.diagnosis.classes import UNKNOWN


@dataclass(frozen=True)
class Classes:
    """The classes of n patients, by number, and UNKNOWN.

    names: of the K classes. follow_up and horizon_months: where the class is that at a time; where
    it comes from a column nothing is known of either.
    """

    label: np.ndarray  # (n,) int64
    names: tuple[str, ...]
    follow_up: FollowUp | None = None
    horizon_months: float | None = None

    def __getitem__(self, rows: np.ndarray) -> Classes:
        followed = None if self.follow_up is None else self.follow_up[rows]
        return Classes(self.label[rows], self.names, followed, self.horizon_months)

    @property
    def known(self) -> np.ndarray:
        """(n,) bool: whose class is known."""
        return np.asarray(self.label != UNKNOWN)

    def weight(self) -> np.ndarray:
        """(n,) what each patient of known class stands for, in anything that is learned.

        At a horizon the inverse probability of censoring among these patients, and NaN for those of
        unknown class: see `statistics.censoring`. Without a horizon 1.
        """
        if self.horizon_months is None or self.follow_up is None:
            return np.ones(len(self.label))
        outcome = SurvivalOutcome(self.follow_up.time_months, self.follow_up.event)
        return known_weights(outcome, self.horizon_months)

    def counted(self) -> dict[str, int]:
        """Events, none where there is no follow-up, and patients of known class."""
        events = 0 if self.follow_up is None else int(self.follow_up.event.sum())
        return {"n_events": events, "n_known": int(self.known.sum())}


def class_strata(outcomes: pd.DataFrame) -> np.ndarray:
    """The class, with a stratum of its own for those of unknown class."""
    return outcomes["label"].to_numpy() - UNKNOWN


def classes_in(outcomes: pd.DataFrame, cohort: CohortConfig) -> Classes:
    """Those of a table with the column label and, at a horizon, the follow-up."""
    asked = asked_of(cohort)
    return Classes(
        outcomes["label"].to_numpy(dtype=np.int64),
        tuple(asked.classes),
        follow_up_in(outcomes) if "event" in outcomes else None,
        asked.horizon_months,
    )


OUTCOMES = OutcomeColumns(
    {"label": int},
    groups=lambda outcomes: outcomes["label"].to_numpy(),
    strata=class_strata,
    learned=classes_in,
    optional=COLUMNS,
    classes=("label", "event"),
    ordered="time_months",
    observed="event",
)
