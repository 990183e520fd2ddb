"""The training part of one outer fold: the only outcomes a training rule can read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from survfuse.artifacts.layout import FoldFolder, fold_numbers
from survfuse.artifacts.outcome_columns import TrainingOutcome
from survfuse.config.cohort import CohortConfig
from survfuse.core.errors import UserInputError
from survfuse.splits.outer_folds import read_train
from survfuse.tasks.registry import declared

Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class TrainingPart:
    """Outcomes of the training patients of fold `fold` in repeat `repeat`.

    `outcome` is of the class that the task declares: `FollowUp` for survival, `Classes` for a
    diagnosis.
    """

    repeat: int
    fold: int
    patient_ids: np.ndarray  # (n,) str
    role: np.ndarray  # (n,) "train" or "validation"
    outcome: TrainingOutcome
    withheld: dict[str, frozenset[str]] = field(default_factory=dict)  # modality -> patients

    def outcome_as(self, kind: type[Outcome]) -> Outcome:
        """The outcome, for what is made for the task whose outcomes are of this class."""
        assert isinstance(self.outcome, kind), f"made for {kind.__name__}"
        return self.outcome

    def seed(self, base: int) -> int:
        """A seed that depends on the fold alone, so that folds can run in any order."""
        return int(np.random.SeedSequence([base, self.repeat, self.fold]).generate_state(1)[0] >> 1)

    def only(self, rows: np.ndarray) -> TrainingPart:
        """Some of the patients (n,) bool, each in the same role."""
        return replace(
            self,
            patient_ids=self.patient_ids[rows],
            role=self.role[rows],
            outcome=self.outcome[rows],
        )

    def permuted(self, base: int) -> TrainingPart:
        """The same patients with outcomes permuted within each role: the negative control."""
        generator = np.random.default_rng([base, self.repeat, self.fold, 7919])
        order = np.arange(len(self.patient_ids))
        for role in ("train", "validation"):
            rows = np.flatnonzero(self.role == role)
            order[rows] = generator.permutation(rows)
        return replace(self, outcome=self.outcome[order])


def read_part(fold_directory: Path, cohort: CohortConfig) -> TrainingPart:
    """Read the training outcomes of a fold directory, as the task of the cohort learns from them.

    Raises UserInputError where the table has not the columns of the task.
    """
    repeat, fold = fold_numbers(fold_directory)
    path = FoldFolder(fold_directory).train
    frame = read_train(path)
    columns = declared(cohort.task, "outcomes")
    if lacking := [name for name in columns.types if name not in frame]:
        raise UserInputError(
            f"{path}: has no column {lacking[0]}, and {cohort.why_task}; make the splits again"
        )
    return TrainingPart(
        repeat,
        fold,
        frame["patient_id"].to_numpy(dtype=str),
        frame["role"].to_numpy(dtype=str),
        columns.learned(frame, cohort),
        withheld_in(frame),
    )


def withheld_in(frame: pd.DataFrame) -> dict[str, frozenset[str]]:
    """Patients by the modality that the training must do without, from the column `withheld`."""
    if "withheld" not in frame:
        return {}
    listed = frame["withheld"].str.split(",")
    named = sorted({name for names in listed for name in names if name})
    return {
        name: frozenset(frame["patient_id"][[name in names for names in listed]]) for name in named
    }
