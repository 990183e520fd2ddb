"""The follow-up of all training patients of a fold, and the targets of a batch taken from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from survfuse.artifacts.checkpoint import Arrays
from survfuse.models.classical.cox import breslow
from survfuse.models.networks.interface import SurvivalTargets
from survfuse.tasks.survival.bins import bin_index, exposure, marginal_logits
from survfuse.training.targets import TrainingTargets


@dataclass(frozen=True)
class TrainingSurvival(TrainingTargets):
    """Follow-up of n patients; `marginal` is that of the patients to fit on alone."""

    time_months: np.ndarray  # (n,)
    event: np.ndarray  # (n,) bool
    bins: np.ndarray  # (n,) int64
    exposure: np.ndarray  # (n,) part of the own bin before the time, 0 to 1
    marginal: np.ndarray  # (K,) logits of the marginal hazards; (1,) zero for Cox's loss
    loss: str = "nll"

    @property
    def groups(self) -> np.ndarray:
        """(n,) 1 with an event."""
        return self.event.astype(int)

    def baseline(self, rows: Sequence[int], logits: Callable[[], np.ndarray]) -> Arrays:
        """Breslow's cumulative baseline hazard, of a network trained by the partial likelihood."""
        if self.loss != "cox":
            return {}
        chosen = list(rows)
        ratios = logits()[:, 0].astype(np.float64)
        fitted = breslow(ratios, self.time_months[chosen], self.event[chosen])
        return {"times": fitted.times, "hazard": fitted.hazard}

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


def cox_survival(time_months: np.ndarray, event: np.ndarray) -> TrainingSurvival:
    """Follow-up for the partial likelihood, which needs neither bins nor a marginal hazard."""
    nothing = np.zeros(len(event), dtype=np.int64)
    return TrainingSurvival(time_months, event, nothing, nothing.astype(float), np.zeros(1), "cox")
