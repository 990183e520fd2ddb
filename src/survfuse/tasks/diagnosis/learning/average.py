"""The average training patient: the shares of the classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from survfuse.artifacts.checkpoint import Arrays
from survfuse.artifacts.prediction import ClassPrediction
from survfuse.config.study import Config
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.diagnosis.outcomes import Classes


class AverageClasses:
    """Shares (K,) of the classes among the training patients, by their weights."""

    def fit(self, part: TrainingPart) -> Arrays:
        """Of those whose class is known."""
        classes = part.outcome_as(Classes)
        weight = classes.weight()[classes.known]
        counts = np.bincount(classes.label[classes.known], weight, minlength=len(classes.names))
        return {"shares": counts / weight.sum()}

    def predict(
        self, arrays: Arrays, patient_ids: Sequence[str], config: Config
    ) -> ClassPrediction:
        """The shares as probabilities; of two classes the commoner is the diagnosis."""
        shares, number = arrays["shares"], len(patient_ids)
        threshold = 0.5 if len(shares) == 2 else float("nan")
        nobody = np.zeros(number, dtype=bool)
        return ClassPrediction(
            tuple(patient_ids), np.tile(shares, (1, number, 1)), threshold, nobody
        )


AVERAGE = AverageClasses()
