"""Outcomes of a training part in the form that losses read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from survfuse.classes import UNKNOWN
from survfuse.fusion.diagnosis import Diagnosis
from survfuse.fusion.interface import Outcome
from survfuse.training.bins import bin_index, lived_share, marginal_logits


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of n patients; `marginal` is that of the patients to fit on alone."""

    time_months: np.ndarray  # (n,)
    event: np.ndarray  # (n,) bool
    bins: np.ndarray  # (n,) int64
    lived: np.ndarray  # (n,) part of the own bin before the time
    marginal: np.ndarray  # (K,) logits of the marginal hazards; (1,) zero for Cox's loss

    def of(self, rows: Sequence[int], device: torch.device | str = "cpu") -> Outcome:
        """The outcomes of some patients as tensors."""
        chosen = list(rows)
        return Outcome(
            time_months=torch.as_tensor(self.time_months[chosen], dtype=torch.float32),
            event=torch.as_tensor(self.event[chosen]),
            bins=torch.as_tensor(self.bins[chosen]),
            lived=torch.as_tensor(self.lived[chosen], dtype=torch.float32),
            marginal=torch.as_tensor(self.marginal, dtype=torch.float32),
        ).to(device)


def discrete_outcomes(
    time_months: np.ndarray, event: np.ndarray, edges_months: np.ndarray, fitted: np.ndarray
) -> Outcomes:
    """Outcomes in the time bins of a fold; `fitted` (n,) bool marks the patients to fit on."""
    return Outcomes(
        time_months,
        event,
        bin_index(time_months, edges_months),
        lived_share(time_months, edges_months),
        marginal_logits(time_months[fitted], event[fitted], edges_months),
    )


@dataclass(frozen=True)
class Labels:
    """Classes of n patients for training; those of unknown class must not be asked for."""

    label: np.ndarray  # (n,) int64, -1 where not known
    weight: np.ndarray  # (K,) of each class
    marginal: np.ndarray  # (K,) log frequencies among the patients to fit on

    def of(self, rows: Sequence[int], device: torch.device | str = "cpu") -> Diagnosis:
        """The classes of some patients as tensors."""
        return Diagnosis(
            torch.as_tensor(self.label[list(rows)]),
            torch.as_tensor(self.weight, dtype=torch.float32),
            torch.as_tensor(self.marginal, dtype=torch.float32),
        ).to(device)


def class_outcomes(label: np.ndarray, classes: int, fitted: np.ndarray) -> Labels:
    """Classes with their frequencies among the patients marked in `fitted` (n,) bool.

    A class that nobody has there counts as one patient, so that its weight is finite.
    """
    counts = np.bincount(label[fitted & (label != UNKNOWN)], minlength=classes)
    frequency = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
    return Labels(label, 1 / (classes * frequency), np.log(frequency))


def cox_outcomes(time_months: np.ndarray, event: np.ndarray) -> Outcomes:
    """Outcomes for the partial likelihood, which needs neither bins nor a marginal hazard."""
    nothing = np.zeros(len(event), dtype=np.int64)
    return Outcomes(time_months, event, nothing, nothing.astype(float), np.zeros(1))
