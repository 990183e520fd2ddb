"""Similarity distribution matching: features of patients with one outcome agree across modalities.

Jiang and Ye, "Cross-Modal Implicit Relation Reasoning and Aligning", CVPR 2023, as ITCFN uses it.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import log_softmax, normalize

SHARPNESS = 2.0  # of the softmax over cosines
FLOOR = 1e-8  # added to the target before its logarithm


def similarity_matching(one: Tensor, other: Tensor, outcome: Tensor) -> Tensor:
    """Kullback-Leibler divergence between cosines and shared outcomes, both ways; a scalar.

    one, other: (B, d) features of the same patients in two modalities. outcome: (B,), equal for
    patients of the same outcome. P_ij = softmax_j(2 cos(a_i, b_j)); q_ij is even over those with
    the outcome of i: mean_i sum_j P_ij (log P_ij - log(q_ij + 1e-8)), and the same with the
    modalities exchanged. Zero for fewer than two patients.
    """
    if len(one) < 2:
        return (one.sum() + other.sum()) * 0.0
    cosines = SHARPNESS * normalize(one, dim=1) @ normalize(other, dim=1).mT
    same = (outcome[:, None] == outcome[None, :]).to(one.dtype)
    target = (same / same.sum(dim=1, keepdim=True) + FLOOR).log()
    total = cosines.new_zeros(())
    for scores in (cosines, cosines.mT):
        log_p = log_softmax(scores, dim=1)
        total = total + (log_p.exp() * (log_p - target)).sum(dim=1).mean()
    return total
