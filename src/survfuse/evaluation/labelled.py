"""What diagnoses are scored against: a class per patient, and who was tested in which fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.classes import UNKNOWN
from survfuse.errors import UserInputError
from survfuse.evaluation.class_predictions import (
    class_columns,
    probabilities,
    read_class_patterns,
    read_class_predictions,
)
from survfuse.evaluation.diagnosis import Diagnosis
from survfuse.evaluation.predictions import match_folds, match_study, refuse
from survfuse.evaluation.study import Divided, Fold, read_folds, read_table, refuse_twice


@dataclass(frozen=True)
class LabelledStudy(Divided):
    """All patients of the cohort: `label` (n,) in 0..K-1, or UNKNOWN; `classes` names the K."""

    patient_ids: tuple[str, ...]
    label: np.ndarray
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]


def read_labelled(outcomes: Path, splits: Path, classes: Sequence[str]) -> LabelledStudy:
    """Read outcomes.tsv (patient_id, label) and splits.tsv (patient_id, repeat, fold).

    Raises UserInputError as `study.read_study` does, or if a label is no class, or a class has no
    patient in some training part.
    """
    table = read_table(outcomes, {"label": int})
    refuse_twice(table, ["patient_id"], outcomes)
    label = table["label"].to_numpy()
    if bad := np.flatnonzero((label < UNKNOWN) | (label >= len(classes))).tolist():
        raise UserInputError(
            f"{outcomes}: row {bad[0] + 2}: label must be 0 to {len(classes) - 1}, or {UNKNOWN} "
            "for unknown; write the file again with check-cohort"
        )
    ids = tuple(table["patient_id"])
    folds = read_folds(splits, ids, outcomes)
    for fold in folds:
        if absent := [k for k in range(len(classes)) if not (label[fold.train] == k).any()]:
            raise UserInputError(
                f"{outcomes}: a training part has nobody of class {classes[absent[0]]}, so it "
                "cannot be learnt; use fewer folds, or other classes"
            )
    return LabelledStudy(ids, label, tuple(classes), folds)


def read_diagnoses(path: Path, study: LabelledStudy) -> list[Diagnosis]:
    """The predictions of a model, one Diagnosis per repeat, rows in the order of the study.

    Raises UserInputError if the table is wrong, does not match the splits, misses a patient, or
    has another number of classes.
    """
    table = match_study(read_class_predictions(path), study, path)
    check_classes(table, study, path)
    n = len(study.patient_ids)
    parts = [table.iloc[r * n : (r + 1) * n] for r in range(study.n_repeats)]
    return [diagnosis_of(part, study.label) for part in parts]


def read_shown(path: Path, study: LabelledStudy) -> dict[str, Diagnosis]:
    """What a model says of the first repeat where it is shown less, by pattern.

    The rows are the patients who are listed, in the order of the study. Raises UserInputError as
    `read_diagnoses` does, patients who are not listed excepted.
    """
    table = read_class_patterns(path)
    if not len(table):
        return {}
    table = match_folds(table, study, path)
    check_classes(table, study, path)
    first = table[table["repeat"] == 0].sort_values("row")
    return {
        str(pattern): diagnosis_of(rows, study.label[rows["row"].to_numpy()])
        for pattern, rows in first.groupby("pattern", sort=False)
    }


def check_classes(table: pd.DataFrame, study: LabelledStudy, path: Path) -> None:
    """Raise UserInputError unless the table has a probability for each class of the study."""
    if (found := len(class_columns(table))) != len(study.classes):
        raise UserInputError(
            f"{path}: there are {found} classes, but the cohort has {len(study.classes)} "
            f"({', '.join(study.classes)}); train and predict again"
        )
    if "threshold" in table and len(study.classes) == 2:
        empty = table["threshold"].isna().to_numpy()
        if not empty.all():
            refuse(empty, table, path, "the threshold is empty, that of others is not")


def diagnosis_of(table: pd.DataFrame, label: np.ndarray) -> Diagnosis:
    """Rows of one repeat with their labels (rows,)."""
    threshold = table["threshold"].to_numpy(dtype=float) if "threshold" in table else None
    return Diagnosis(
        patient=table["patient_id"].to_numpy(),
        label=label,
        probability=probabilities(table),
        fold=table["fold"].to_numpy(),
        synthesised=table["synthesised"].to_numpy() == 1,
        threshold=None if threshold is None or np.isnan(threshold).any() else threshold,
    )
