"""The training part of one outer fold: the only outcomes a training rule can read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.artifacts.layout import FoldFolder, fold_numbers
from survfuse.artifacts.study import SurvivalOutcome
from survfuse.splits.outer_folds import read_train
from survfuse.statistics.censoring import known_weights


@dataclass(frozen=True)
class TrainingPart:
    """Outcomes of the training patients of fold `fold` in repeat `repeat`.

    For a diagnosis there is a `label` (n,), -1 where it is not known; where it comes from a column,
    nothing is known of follow-up, times are NaN and there are no events. With `horizon_months` it
    is the class at that time.
    """

    repeat: int
    fold: int
    patient_ids: np.ndarray  # (n,) str
    role: np.ndarray  # (n,) "train" or "validation"
    time_months: np.ndarray  # (n,)
    event: np.ndarray  # (n,) bool
    withheld: dict[str, frozenset[str]] = field(default_factory=dict)  # modality -> patients
    label: np.ndarray | None = None  # (n,) int64
    horizon_months: float | None = None

    def weight(self) -> np.ndarray:
        """(n,) what each patient of known class stands for, in anything that is learned.

        At a horizon the inverse probability of censoring among these patients, and NaN for those of
        unknown class: see `statistics.censoring`. Without a horizon 1.
        """
        if self.horizon_months is None:
            return np.ones(len(self.patient_ids))
        return known_weights(SurvivalOutcome(self.time_months, self.event), self.horizon_months)

    def seed(self, base: int) -> int:
        """A seed that depends on the fold alone, so that folds can run in any order."""
        return int(np.random.SeedSequence([base, self.repeat, self.fold]).generate_state(1)[0] >> 1)

    def only(self, rows: np.ndarray) -> TrainingPart:
        """Some of the patients (n,) bool, each in the same role."""
        return replace(
            self,
            patient_ids=self.patient_ids[rows],
            role=self.role[rows],
            time_months=self.time_months[rows],
            event=self.event[rows],
            label=None if self.label is None else self.label[rows],
        )

    def permuted(self, base: int) -> TrainingPart:
        """The same patients with outcomes permuted within each role: the negative control."""
        generator = np.random.default_rng([base, self.repeat, self.fold, 7919])
        order = np.arange(len(self.patient_ids))
        for role in ("train", "validation"):
            rows = np.flatnonzero(self.role == role)
            order[rows] = generator.permutation(rows)
        label = None if self.label is None else self.label[order]
        return replace(
            self, time_months=self.time_months[order], event=self.event[order], label=label
        )


def read_part(fold_directory: Path, horizon_months: float | None = None) -> TrainingPart:
    """Read the training outcomes of a fold directory; `horizon_months` of a diagnosis, if any."""
    repeat, fold = fold_numbers(fold_directory)
    frame = read_train(FoldFolder(fold_directory).train)
    return TrainingPart(
        repeat,
        fold,
        frame["patient_id"].to_numpy(dtype=str),
        frame["role"].to_numpy(dtype=str),
        frame.get("time_months", pd.Series(np.nan, frame.index)).to_numpy(dtype=float),
        frame.get("event", pd.Series(0, frame.index)).to_numpy(dtype=int).astype(bool),
        withheld_in(frame),
        frame["label"].to_numpy(dtype=np.int64) if "label" in frame else None,
        horizon_months,
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
