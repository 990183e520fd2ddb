"""What a row predicts where nothing can be learned: the average training patient, for everybody.

Few patients may have what a row reads, and none of them be in the training part of some fold. The
other folds are informative, so the row is kept; `fit.json` says why nothing was learned here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.artifacts.prediction import Predicted
from survfuse.config.study import Config
from survfuse.core.by_name import named
from survfuse.modalities.cohort import CohortInputs
from survfuse.models.estimator import NothingToLearnError
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.loading import task_of

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


class Average(Protocol):
    """What a task says of everybody where nothing is learned: its TASK names it."""

    def fit(self, part: TrainingPart) -> Arrays:
        """What is stored of the outcomes of the training patients."""

    def predict(self, arrays: Arrays, patient_ids: Sequence[str], config: Config) -> Predicted:
        """The same prediction for all of these patients."""


def average_of(config: Config) -> Average:
    """That of the task of a run."""
    average: Average = named(task_of(config).average)
    return average


def fit_average(config: Config, part: TrainingPart, reason: str) -> tuple[Arrays, dict[str, Any]]:
    """The average outcome of a training part, and the description to store."""
    return average_of(config).fit(part), {
        "not_estimable": reason,
        "modalities": [],
        "read": [],
        "fitted_on": {"average": ids_hash(part.patient_ids.tolist())},
    }


def is_average(fitted: FittedModel) -> bool:
    """Whether a row could not be fitted in its fold."""
    return "not_estimable" in fitted.fit


def predict_average(fitted: FittedModel, patient_ids: Sequence[str], config: Config) -> Predicted:
    """The same for all patients, as it was fitted."""
    return average_of(config).predict(fitted.arrays, patient_ids, config)
