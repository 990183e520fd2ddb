"""The outcomes of all training patients of a fold, and the targets of a batch taken from them.

Which targets, and so which loss, networks have for a task is chosen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from survfuse.config.study import Config
from survfuse.models.networks.interface import SurvivalTargets
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.diagnosis.classes import UNKNOWN
from survfuse.tasks.diagnosis.loss import ClassTargets
from survfuse.tasks.survival.bins import bin_index, exposure, fit_bins, marginal_logits


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


def least_outputs(config: Config) -> int:
    """The fewest outputs that a network of this configuration can have."""
    if diagnosis := config.cohort.diagnosis:
        return len(diagnosis.classes)
    return 1 if config.training.loss == "cox" else 2


def known_outcomes(part: TrainingPart) -> np.ndarray:
    """(n,) bool: whose outcome can be learned from."""
    if part.label is None:
        return np.ones(len(part.patient_ids), dtype=bool)
    return np.asarray(part.label != UNKNOWN)


def targets_of(
    config: Config, part: TrainingPart, fitting: np.ndarray
) -> tuple[TrainingSurvival | TrainingClasses, dict[str, np.ndarray]]:
    """The targets of the patients of a fold, and what prediction needs of them.

    `fitting` (n,) bool: the patients that bins and frequencies are fitted on.
    """
    settings, diagnosis = config.training, config.cohort.diagnosis
    if diagnosis and part.label is not None:
        classes = training_classes(part.label, len(diagnosis.classes), fitting, part.weight())
        return classes, {"marginal_logits": classes.marginal}
    if settings.loss == "cox":
        return cox_survival(part.time_months, part.event), {}
    edges = fit_bins(
        settings.bins_months,
        part.time_months[fitting],
        part.event[fitting],
        settings.min_events_per_bin,
    )
    survival = discrete_survival(part.time_months, part.event, edges, fitting)
    return survival, {"edges_months": edges, "marginal_logits": survival.marginal}
