"""What all models are scored against: the outcomes and the folds of the cross-validation."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from survfuse.core.errors import UserInputError
from survfuse.core.files import read_text_table


@dataclass(frozen=True)
class SurvivalOutcome:
    """Follow-up of n patients: `time` in months (n,), and `event` (n,), true where observed."""

    time: np.ndarray
    event: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", np.asarray(self.time, dtype=float))
        object.__setattr__(self, "event", np.asarray(self.event, dtype=bool))
        if self.time.ndim != 1 or self.time.shape != self.event.shape:
            raise ValueError(f"time {self.time.shape} and event {self.event.shape} differ in shape")
        if bad := np.flatnonzero(~(np.isfinite(self.time) & (self.time >= 0))).tolist():
            raise UserInputError(
                f"outcome {bad[0]}: the time {self.time[bad[0]]} is not a follow-up time; "
                "give a number of at least 0"
            )

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, index: np.ndarray) -> SurvivalOutcome:
        return SurvivalOutcome(self.time[index], self.event[index])


@dataclass(frozen=True)
class Fold:
    """One outer fold: rows of the study that trained the models, and rows that were tested."""

    repeat: int
    fold: int
    train: np.ndarray
    test: np.ndarray


class CrossValidation:
    """Patients and their folds, once per repeat; what studies of any outcome share."""

    patient_ids: tuple[str, ...]
    folds: tuple[Fold, ...]

    @property
    def n_repeats(self) -> int:
        return 1 + max(fold.repeat for fold in self.folds)

    def first_repeats(self, number: int) -> Self:
        """The same patients in the folds of the first repeats alone, as a row may be fitted."""
        restricted = copy(self)
        folds = tuple(fold for fold in self.folds if fold.repeat < number)
        object.__setattr__(restricted, "folds", folds)  # studies are frozen
        return restricted

    def folds_of(self, repeat: int) -> list[Fold]:
        """The folds of one repeat; their test parts hold every patient once."""
        return [fold for fold in self.folds if fold.repeat == repeat]

    @property
    def fold_numbers(self) -> np.ndarray:
        """The fold that tested each patient in each repeat, (repeats, n)."""
        numbers = np.empty((self.n_repeats, len(self.patient_ids)), dtype=int)
        for fold in self.folds:
            numbers[fold.repeat, fold.test] = fold.fold
        return numbers

    @property
    def test_share(self) -> float:
        """Test patients per training patient, averaged over the folds."""
        return float(np.mean([len(fold.test) / len(fold.train) for fold in self.folds]))


@dataclass(frozen=True)
class Study(CrossValidation):
    """All patients of the cohort, in the order that every array of predictions follows."""

    patient_ids: tuple[str, ...]
    outcome: SurvivalOutcome
    folds: tuple[Fold, ...]


def read_study(outcomes: Path, splits: Path) -> Study:
    """Read outcomes.tsv (patient_id, time_months, event) and splits.tsv (patient_id, repeat, fold).

    Raises UserInputError if a column is missing, a value is not a number, a patient is listed
    twice, the two tables do not hold the same patients in every repeat, or a training part has no
    event.
    """
    table = read_table(outcomes, {"time_months": float, "event": int})
    refuse_twice(table, ["patient_id"], outcomes)
    if bad := np.flatnonzero(~table["event"].isin([0, 1])).tolist():
        raise UserInputError(
            f"{outcomes}: row {bad[0] + 2}: event must be 0 or 1; write the file again with "
            "check-cohort"
        )
    folds = read_folds(splits, tuple(table["patient_id"]), outcomes)
    outcome = SurvivalOutcome(table["time_months"].to_numpy(), table["event"].to_numpy())
    if not all(outcome.event[fold.train].any() for fold in folds):
        raise UserInputError(
            f"{outcomes}: a training part has no event, so nothing can be learnt or scored; check "
            "the endpoint, or use fewer folds"
        )
    return Study(tuple(table["patient_id"]), outcome, folds)


def read_folds(splits: Path, patient_ids: tuple[str, ...], outcomes: Path) -> tuple[Fold, ...]:
    """The folds of splits.tsv, as rows of `patient_ids`, which come from the file `outcomes`.

    Raises UserInputError unless every repeat lists exactly these patients, in two folds or more.
    """
    row_of = {patient: row for row, patient in enumerate(patient_ids)}
    assigned = read_table(splits, {"repeat": int, "fold": int})
    refuse_twice(assigned, ["patient_id", "repeat"], splits)
    folds: list[Fold] = []
    repeats = sorted(assigned["repeat"].unique())
    if repeats != list(range(len(repeats))):
        raise UserInputError(f"{splits}: repeats must be numbered 0, 1, ...; make the splits again")
    for repeat in repeats:
        part = assigned[assigned["repeat"] == repeat]
        if differing := set(row_of) ^ set(part["patient_id"]):
            raise UserInputError(
                f"{splits}: repeat {repeat + 1} and {outcomes} do not list the same patients (e.g. "
                f"{min(differing)}); make the splits again from this cohort"
            )
        rows = part["patient_id"].map(row_of).to_numpy()
        for fold in sorted(part["fold"].unique()):
            tested = (part["fold"] == fold).to_numpy()
            folds.append(
                Fold(int(repeat), int(fold), np.sort(rows[~tested]), np.sort(rows[tested]))
            )
    if any(len(fold.train) == 0 for fold in folds):
        raise UserInputError(f"{splits}: a repeat needs at least two folds; make the splits again")
    return tuple(folds)


def read_table(path: Path, numbers: dict[str, type]) -> pd.DataFrame:
    """Read a TSV with the column patient_id and the given numeric columns, all complete."""
    table = read_text_table(path, ["patient_id", *numbers])
    for name, kind in numbers.items():
        table[name] = to_numbers(table[name], path)
        if bad := np.flatnonzero(table[name].isna()).tolist():
            raise UserInputError(f"{path}: row {bad[0] + 2}: {name} is empty; give a number")
        if kind is int:
            if bad := np.flatnonzero(table[name] % 1 != 0).tolist():
                raise UserInputError(f"{path}: row {bad[0] + 2}: {name} must be a whole number")
            table[name] = table[name].astype(int)
    return table


def to_numbers(text: pd.Series, path: Path) -> pd.Series:
    """Text to finite float64, empty to NaN. Raises UserInputError for anything else."""
    readable = np.isfinite(pd.to_numeric(text, errors="coerce"))
    if bad := np.flatnonzero((text != "") & ~readable).tolist():
        raise UserInputError(
            f"{path}: row {bad[0] + 2}: {text.name} holds {text.iloc[bad[0]]!r}; give a finite "
            "number or leave it empty"
        )
    return text.where(text != "", "nan").astype(float)  # to_numeric loses the last digit


def refuse_twice(table: pd.DataFrame, key: list[str], path: Path) -> None:
    """Raise UserInputError if two rows share the key."""
    if twice := np.flatnonzero(table.duplicated(key)).tolist():
        values = ", ".join(f"{name} {table[name].iloc[twice[0]]}" for name in key)
        raise UserInputError(
            f"{path}: row {twice[0] + 2}: {values} is listed twice; keep one of the rows"
        )
