"""The classes of all training patients of a fold, and the targets of a batch taken from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from survfuse.tasks.diagnosis.classes import UNKNOWN
from survfuse.tasks.diagnosis.learning.loss import ClassTargets
from survfuse.training.targets import TrainingTargets


@dataclass(frozen=True)
class TrainingClasses(TrainingTargets):
    """Classes of n patients for training; those of unknown class have no targets."""

    label: np.ndarray  # (n,) int64, -1 where not known
    class_weight: np.ndarray  # (K,) inverse frequencies
    marginal: np.ndarray  # (K,) log frequencies among the patients to fit on
    # (n,) inverse-probability weights, 1 on average over those fitted on
    patient_weight: np.ndarray
    loss: str = "focal"

    @property
    def groups(self) -> np.ndarray:
        """(n,) the class."""
        return self.label

    def of(self, rows: Sequence[int], device: torch.device | str = "cpu") -> ClassTargets:
        """The targets of some patients."""
        return ClassTargets(
            torch.as_tensor(self.label[list(rows)]),
            torch.as_tensor(self.class_weight, dtype=torch.float32),
            torch.as_tensor(self.marginal, dtype=torch.float32),
            torch.as_tensor(self.patient_weight[list(rows)], dtype=torch.float32),
        ).to(device)


def training_classes(
    label: np.ndarray, classes: int, fitted: np.ndarray, weight: np.ndarray
) -> TrainingClasses:
    """Classes with their frequencies among the patients marked in `fitted` (n,) bool.

    `weight` (n,): inverse-probability weights of patients of known class; frequencies are of the
    weights. A class that nobody has there counts as one patient, so that its weight is finite.
    """
    known = fitted & (label != UNKNOWN)
    counts = np.bincount(label[known], weight[known], minlength=classes)
    frequency = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
    patient_weight = weight / weight[known].mean() if known.any() else weight
    return TrainingClasses(label, 1 / (classes * frequency), np.log(frequency), patient_weight)
