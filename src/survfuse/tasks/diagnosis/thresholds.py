"""The probability from which a diagnosis is positive, chosen on patients of the training part."""

from __future__ import annotations

import numpy as np

from survfuse.splits.training_part import TrainingPart
from survfuse.statistics.proportions import youden_threshold
from survfuse.tasks.diagnosis.outcomes import Classes


def threshold_patients(part: TrainingPart) -> np.ndarray:
    """(n,) the patients a threshold is chosen on: those for validation of known class, else all."""
    known = part.outcome_as(Classes).known
    validation = known & (part.role == "validation")
    return validation if validation.any() else known


def threshold_of(probability: np.ndarray, part: TrainingPart) -> np.ndarray:
    """(1,) threshold for the probabilities (m, K) of the threshold patients.

    NaN for more than two classes, and where all of them are of one class.
    """
    classes, chosen_on = part.outcome_as(Classes), threshold_patients(part)
    case = classes.label[chosen_on] == 1
    if probability.shape[1] > 2 or case.all() or not case.any():
        return np.array([np.nan])
    return np.array([youden_threshold(probability[:, 1], case, classes.weight()[chosen_on])])
