"""What the pages of a diagnosis read besides what all pages share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse.artifacts.evaluation import DiagnosisEvaluation
from survfuse.artifacts.saliency import Saliency, read_saliency
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.evaluation.risks import COLUMNS, read_risks
from survfuse.reporting.inputs import ReportInputs, RunData, read_run
from survfuse.tasks.diagnosis.asked import NAME, asked_of
from survfuse.tasks.diagnosis.predictions import class_columns, read_class_predictions
from survfuse.tasks.diagnosis.study import ClassStudy, read_labelled

LEAST_ALIKE, ALIKE = 10, 20  # patients with the nearest estimates


@dataclass(frozen=True)
class DiagnosisData(RunData):
    """What the pages of a diagnosis share."""

    evaluation: DiagnosisEvaluation
    study: ClassStudy
    risks: pd.DataFrame  # by the horizon, see `evaluation.risks`; empty without one


@dataclass(frozen=True)
class ClassPrediction:
    """Out-of-fold probabilities of one patient, the mean over repeats."""

    folds: tuple[tuple[int, int], ...]  # (repeat, fold), one per repeat
    probability: tuple[float, ...]  # of each class
    ranges: dict[int, tuple[float, float]]  # class -> lowest and highest over the members
    synthesised: bool
    threshold: float | None  # of the patient's fold in the first repeat


def read_diagnosis_data(config: Config, inputs: ReportInputs) -> DiagnosisData:
    """Read what all pages share. Raises UserInputError as `inputs.read_report_data` does."""
    asked = asked_of(config.cohort)
    study = read_labelled(inputs.outcomes, inputs.splits, asked.classes, asked.horizon_months)
    run = read_run(inputs, study)
    if run.evaluation.get("task") != NAME:
        raise UserInputError(
            f"{inputs.evaluation_json}: is no evaluation of a diagnosis; evaluate again"
        )
    risks = pd.DataFrame(columns=list(COLUMNS))
    if asked.horizon_months is not None:
        risks = read_risks(inputs.risks, run.evaluation["risks_sha256"])
    return DiagnosisData(**vars(run), risks=risks)


def read_classes(data: RunData, model: str) -> pd.DataFrame:
    """The checked predictions of a model, one row per patient and repeat."""
    return read_class_predictions(data.inputs.predictions.table(model))


def class_prediction(table: pd.DataFrame, patient_id: str) -> ClassPrediction:
    """One patient's prediction. Raises UserInputError if the table has none."""
    rows = table[table["patient_id"] == patient_id].sort_values("repeat")
    if rows.empty:
        raise UserInputError(f"patient {patient_id}: the model has no prediction; predict again")
    columns = class_columns(table)
    ranges = {
        number: (float(rows[f"p_low_{number}"].min()), float(rows[f"p_high_{number}"].max()))
        for number in range(len(columns))
        if f"p_low_{number}" in rows and rows[f"p_low_{number}"].notna().all()
        and rows[f"p_high_{number}"].notna().all()
    }  # fmt: skip
    threshold = float(rows["threshold"].iloc[0])
    return ClassPrediction(
        tuple(zip(rows["repeat"].tolist(), rows["fold"].tolist(), strict=True)),
        tuple(float(value) for value in rows[columns].mean()),
        ranges,
        bool(rows["synthesised"].iloc[0]),
        threshold if np.isfinite(threshold) else None,
    )


def nearest_patients(
    data: DiagnosisData, table: pd.DataFrame, patient_id: str, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Labels, probabilities and weights (k,) of the patients nearest in the probability of a class.

    Out of fold, of the first repeat, with a known label, the patient left out; at most ALIKE, None
    where fewer than LEAST_ALIKE are there.
    """
    first = table[table["repeat"] == 0].set_index("patient_id")[f"p_{number}"]
    own = float(first[patient_id])
    others = first.reindex(data.study.patient_ids).to_numpy()
    usable = np.flatnonzero(
        (data.study.label >= 0) & (np.array(data.study.patient_ids) != patient_id)
    )
    if len(usable) < LEAST_ALIKE:
        return None
    nearest = usable[np.argsort(np.abs(others[usable] - own), kind="stable")[:ALIKE]]
    return data.study.label[nearest], others[nearest], data.study.weight[nearest]


def saliency_of(data: RunData, model: str, patient_id: str) -> Saliency | None:
    """The saliency maps of a patient, None where the model has none."""
    path = data.inputs.predictions.saliency(model)
    return read_saliency(path, patient_id) if path.is_file() else None
