"""The outcomes of all training patients of a fold, and the targets of a batch taken from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from survfuse.models.networks.interface import SurvivalTargets
from survfuse.tasks.diagnosis.classes import UNKNOWN
from survfuse.tasks.diagnosis.loss import ClassTargets
from survfuse.tasks.survival.bins import bin_index, exposure, marginal_logits


@dataclass(frozen=True)
class TrainingSurvival:
    """Follow-up of n patients; `marginal` is that of the patients to fit on alone."""

    time_months: np.ndarray  # (n,)
    event: np.ndarray  # (n,) bool
    bins: np.ndarray  # (n,) int64
    exposure: np.ndarray  # (n,) part of the own bin before the time, 0 to 1
    marginal: np.ndarray  # (K,) logits of the marginal hazards; (1,) zero for Cox's loss

    def of(self, rows: Sequence[int], device: torch.device | str = "cpu") -> SurvivalTargets:
        """The targets of some patients."""
        chosen = list(rows)
        return SurvivalTargets(
            time_months=torch.as_tensor(self.time_months[chosen], dtype=torch.float32),
            event=torch.as_tensor(self.event[chosen]),
            bins=torch.as_tensor(self.bins[chosen]),
            exposure=torch.as_tensor(self.exposure[chosen], dtype=torch.float32),
            marginal=torch.as_tensor(self.marginal, dtype=torch.float32),
        ).to(device)


def discrete_survival(
    time_months: np.ndarray, event: np.ndarray, edges_months: np.ndarray, fitted: np.ndarray
) -> TrainingSurvival:
    """Follow-up in the time bins of a fold; `fitted` (n,) bool marks the patients to fit on."""
    return TrainingSurvival(
        time_months,
        event,
        bin_index(time_months, edges_months),
        exposure(time_months, edges_months),
        marginal_logits(time_months[fitted], event[fitted], edges_months),
    )


@dataclass(frozen=True)
class TrainingClasses:
    """Classes of n patients for training; those of unknown class have no targets."""

    label: np.ndarray  # (n,) int64, -1 where not known
    class_weight: np.ndarray  # (K,) inverse frequencies
    marginal: np.ndarray  # (K,) log frequencies among the patients to fit on
    patient_weight: (
        np.ndarray
    )  # (n,) inverse-probability weights, 1 on average over those fitted on

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


def cox_survival(time_months: np.ndarray, event: np.ndarray) -> TrainingSurvival:
    """Follow-up for the partial likelihood, which needs neither bins nor a marginal hazard."""
    nothing = np.zeros(len(event), dtype=np.int64)
    return TrainingSurvival(time_months, event, nothing, nothing.astype(float), np.zeros(1))
