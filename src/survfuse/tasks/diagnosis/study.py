"""What diagnoses are scored against: a class per patient, and who was tested in which fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.artifacts.predictions import match_folds, match_study, refuse
from survfuse.artifacts.study import (
    CrossValidation,
    Fold,
    SurvivalOutcome,
    read_folds,
    read_table,
    refuse_twice,
)
from survfuse.core.errors import UserInputError
from survfuse.evaluation.repeats import repeats_in
from survfuse.statistics.censoring import known_weights
from survfuse.tasks.diagnosis.classes import UNKNOWN, conversion_label
from survfuse.tasks.diagnosis.predictions import (
    class_columns,
    probabilities,
    read_class_ablations,
    read_class_predictions,
)
from survfuse.tasks.diagnosis.scored import ClassPredictions


@dataclass(frozen=True)
class ClassStudy(CrossValidation):
    """All patients of the cohort: `label` (n,) in 0..K-1, or UNKNOWN; `classes` names the K.

    At a horizon there is the follow-up (`outcome`), and `weight` (n,), the inverse probability of a
    known class (see `censoring`): NaN where the class is not known. Without a horizon it is 1 for
    everybody.
    """

    patient_ids: tuple[str, ...]
    label: np.ndarray
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]
    weight: np.ndarray
    outcome: SurvivalOutcome | None = None


def read_labelled(
    outcomes: Path, splits: Path, classes: Sequence[str], horizon_months: float | None = None
) -> ClassStudy:
    """Read outcomes.tsv (patient_id, label) and splits.tsv (patient_id, repeat, fold).

    At a horizon outcomes.tsv has time_months and event too, and weights are those of the whole
    cohort. Raises UserInputError as `study.read_study` does, or if a label is no class, or not that
    of the follow-up, or a class has no patient in some training part.
    """
    follow_up = {} if horizon_months is None else {"time_months": float, "event": int}
    table = read_table(outcomes, {"label": int, **follow_up})
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
    if horizon_months is None:
        return ClassStudy(ids, label, tuple(classes), folds, np.ones(len(ids)))
    outcome = SurvivalOutcome(table["time_months"].to_numpy(), table["event"].to_numpy() == 1)
    at_horizon = conversion_label(outcome.time, outcome.event, horizon_months)
    if differing := np.flatnonzero(label != at_horizon).tolist():
        raise UserInputError(
            f"{outcomes}: row {differing[0] + 2}: the label is not that of the follow-up at "
            f"{horizon_months:g} months; write the file again with check-cohort"
        )
    weight = known_weights(outcome, horizon_months)
    return ClassStudy(ids, label, tuple(classes), folds, weight, outcome)


def read_diagnoses(path: Path, study: ClassStudy) -> list[ClassPredictions]:
    """The predictions of a model, once per repeat, rows in the order of the study.

    It may have fewer repeats than the study: see `repeats`.
    Raises UserInputError if the table is wrong, does not match the splits, misses a patient, or
    has another number of classes.
    """
    table = read_class_predictions(path)
    study = study.first_repeats(repeats_in(table))
    table = match_study(table, study, path)
    check_classes(table, study, path)
    n = len(study.patient_ids)
    parts = [table.iloc[r * n : (r + 1) * n] for r in range(study.n_repeats)]
    return [diagnosis_of(part, study.label, study.weight) for part in parts]


def read_ablated_diagnoses(path: Path, study: ClassStudy) -> dict[str, ClassPredictions]:
    """The modality ablations of a model in the first repeat, by inputs.

    The rows are the patients who are listed, in the order of the study. Raises UserInputError as
    `read_diagnoses` does, patients who are not listed excepted.
    """
    table = read_class_ablations(path)
    if not len(table):
        return {}
    table = match_folds(table, study, path)
    check_classes(table, study, path)
    first = table[table["repeat"] == 0].sort_values("row")
    return {
        str(ablation): diagnosis_of(
            rows, study.label[rows["row"].to_numpy()], study.weight[rows["row"].to_numpy()]
        )
        for ablation, rows in first.groupby("inputs", sort=False)
    }


def check_classes(table: pd.DataFrame, study: ClassStudy, path: Path) -> None:
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


def diagnosis_of(table: pd.DataFrame, label: np.ndarray, weight: np.ndarray) -> ClassPredictions:
    """Rows of one repeat with their labels (rows,) and weights (rows,)."""
    threshold = table["threshold"].to_numpy(dtype=float) if "threshold" in table else None
    return ClassPredictions(
        patient=table["patient_id"].to_numpy(),
        label=label,
        probability=probabilities(table),
        fold=table["fold"].to_numpy(),
        synthesised=table["synthesised"].to_numpy() == 1,
        weight=weight,
        threshold=None if threshold is None or np.isnan(threshold).any() else threshold,
    )
