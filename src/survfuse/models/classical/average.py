"""What a row predicts where nothing can be learned: the average training patient, for everybody.

Few patients may have what a row reads, and none of them be in the training part of some fold. The
other folds are informative, so the row is kept; `fit.json` says why nothing was learned here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import FittedModel, ids_hash
from survfuse.artifacts.prediction import ClassPrediction, Prediction
from survfuse.modalities.cohort import CohortInputs
from survfuse.models.classical.cox import CoxModel, fit_cox
from survfuse.models.estimator import NothingToLearnError, Predicted
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.diagnosis.classes import UNKNOWN

LEAST_PATIENTS = 2  # to learn from; nothing varies in one


def read_in(reads: Sequence[str], inputs: CohortInputs, patient_ids: Sequence[str]) -> list[str]:
    """Which of these modalities a row can learn to read from these training patients.

    Raises NothingToLearnError where fewer than two of them have any.
    """
    has = {modality: inputs.has(modality, patient_ids) for modality in reads}
    number = int(np.any(list(has.values()), axis=0).sum())
    if number < LEAST_PATIENTS:
        fault = "no training patient has" if not number else "only one training patient has"
        raise NothingToLearnError(f"{fault} {' or '.join(reads)}")
    return [modality for modality, there in has.items() if there.any()]


def fit_average(
    part: TrainingPart, classes: int, reason: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Shares (K,) of the classes, or the Nelson-Aalen hazard; and the description to store."""
    if part.label is not None:
        known = part.label != UNKNOWN
        weight = part.weight()[known]
        counts = np.bincount(part.label[known], weight, minlength=classes)
        arrays = {"shares": counts / weight.sum()}
    else:
        nobody = np.empty((len(part.patient_ids), 0))
        curve = fit_cox(nobody, part.time_months, part.event)
        arrays = {"times": curve.times, "hazard": curve.hazard}
    return arrays, {
        "not_estimable": reason,
        "modalities": [],
        "read": [],
        "fitted_on": {"average": ids_hash(part.patient_ids.tolist())},
    }


def is_average(fitted: FittedModel) -> bool:
    """Whether a row could not be fitted in its fold."""
    return "not_estimable" in fitted.fit


def predict_average(
    fitted: FittedModel, patient_ids: Sequence[str], grid_months: np.ndarray
) -> Predicted:
    """The same for all patients, of survival or of a diagnosis, as it was fitted.

    A curve and a risk of 0; or probabilities of the classes, of two of which the commoner is the
    diagnosis.
    """
    number = len(patient_ids)
    if "shares" in fitted.arrays:
        shares = fitted.arrays["shares"]
        threshold = 0.5 if len(shares) == 2 else float("nan")
        nobody = np.zeros(number, dtype=bool)
        return ClassPrediction(
            tuple(patient_ids), np.tile(shares, (1, number, 1)), threshold, nobody
        )
    curve, nothing = CoxModel(np.empty(0), **fitted.arrays), np.empty((number, 0))
    survival = curve.survival(nothing, grid_months)
    return Prediction(tuple(patient_ids), curve.risk(nothing), survival[None])
