"""Loss of classifiers: focal loss on logits, weighted by class.

Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, with one weight per class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

GAMMA = 2.0  # the focusing parameter: how much less a well-classified patient counts


def focal(logits: Tensor, label: Tensor, class_weight: Tensor, gamma: float = GAMMA) -> Tensor:
    """(B,) loss of each patient: weight_y (1 - p_y)^gamma (-log p_y), p the softmax of (B, K)."""
    log_p = log_softmax(logits, dim=1).gather(1, label[:, None]).squeeze(1)
    return -class_weight[label] * (1 - log_p.exp()) ** gamma * log_p


@dataclass(frozen=True)
class ClassTargets:
    """The classes of the B patients of a training batch; not available in prediction.

    label: (B,) int64 in 0..K-1. class_weight: (K,) inverse frequencies, 1 on average over the
    patients, so that rare classes are not ignored. marginal: (K,) log frequencies of the classes,
    which prediction adds to the logits: weighted training makes classes equally frequent.
    patient_weight: (B,) inverse-probability weights where the classes of others are unknown, 1 on
    average over all training patients; None is 1 for each.
    """

    label: Tensor
    class_weight: Tensor
    marginal: Tensor
    patient_weight: Tensor | None = None

    def loss(self, logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean loss, a scalar, over all patients or those in `mask` (B,) bool; 0 for an empty one.

        logits: (B, K). It is a mean by number, not by `patient_weight`, which would cancel in a
        batch of one.
        """
        mask = torch.ones_like(self.label, dtype=torch.bool) if mask is None else mask
        each = focal(logits, self.label, self.class_weight)
        each = each if self.patient_weight is None else self.patient_weight * each
        return torch.where(mask, each, 0.0).sum() / mask.sum().clamp(min=1)

    def outcome_groups(self) -> tuple[Tensor, Tensor]:
        """(B,) the outcome group of each patient, and (B,) bool whether it is known."""
        return self.label, torch.ones_like(self.label, dtype=torch.bool)

    def to(self, device: torch.device | str) -> ClassTargets:
        """The same classes on another device."""
        patient_weight = None if self.patient_weight is None else self.patient_weight.to(device)
        label, class_weight, marginal = (
            one.to(device) for one in (self.label, self.class_weight, self.marginal)
        )
        return ClassTargets(label, class_weight, marginal, patient_weight)
