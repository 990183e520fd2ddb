"""Loss of models that tell classes apart: focal loss on logits, weighted by class.

Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, with one weight per class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

FOCUS = 2.0  # gamma: how much less a well-classified patient counts


def focal(logits: Tensor, label: Tensor, weight: Tensor, focus: float = FOCUS) -> Tensor:
    """(B,) loss of each patient: weight_y (1 - p_y)^focus (-log p_y), p the softmax of (B, K)."""
    log_p = log_softmax(logits, dim=1).gather(1, label[:, None]).squeeze(1)
    return -weight[label] * (1 - log_p.exp()) ** focus * log_p


@dataclass(frozen=True)
class Diagnosis:
    """The classes of the B patients of a training batch; nobody knows them in prediction.

    label: (B,) int64 in 0..K-1. weight: (K,) of each class, 1 / frequency and 1 on average over
    the patients, so that rare classes are not ignored. marginal: (K,) log frequencies of the
    classes, which prediction adds to the logits: weighted training makes classes equally frequent.
    """

    label: Tensor
    weight: Tensor
    marginal: Tensor

    def loss(self, logits: Tensor, who: Tensor | None = None) -> Tensor:
        """Mean loss, a scalar, over all patients or those marked in `who` (B,) bool; 0 for nobody.

        logits: (B, K).
        """
        who = torch.ones_like(self.label, dtype=torch.bool) if who is None else who
        each = focal(logits, self.label, self.weight)
        return torch.where(who, each, 0.0).sum() / who.sum().clamp(min=1)

    def alike(self) -> tuple[Tensor, Tensor]:
        """(B,) a number that patients with the same outcome share, and (B,) bool who has one."""
        return self.label, torch.ones_like(self.label, dtype=torch.bool)

    def to(self, device: torch.device | str) -> Diagnosis:
        """The same classes on another device."""
        return Diagnosis(self.label.to(device), self.weight.to(device), self.marginal.to(device))
