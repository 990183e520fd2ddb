"""Attention with one head between many tokens and a few, at the cost of the few.

Equal to `nn.MultiheadAttention`, whose projections are applied to the few tokens instead of the
many: with n many and m few tokens of width d, products of n m d operations instead of n d d.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import linear


def attend_to_few(layer: nn.MultiheadAttention, many: Tensor, few: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of queries `many` (B, n, d) over `few` (B, m, d): (B, n, d), weights (B, n, m)."""
    to_q, to_k, to_v = layer.in_proj_weight.chunk(3)
    q_bias, k_bias, v_bias = layer.in_proj_bias.chunk(3)
    keys = linear(few, to_k, k_bias) * few.shape[2] ** -0.5
    weights = (many @ (keys @ to_q).mT + (keys @ q_bias)[:, None]).softmax(dim=2)
    return weights @ layer.out_proj(linear(few, to_v, v_bias)), weights


def attend_to_many(
    layer: nn.MultiheadAttention, few: Tensor, many: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Attention of queries `few` (B, m, d) over `many` (B, n, d): (B, m, d), weights (B, m, n).

    mask: (B, n) bool, which of the many are keys, at least one per row. The bias of the keys
    shifts all scores of a query equally, which changes nothing, and is left out.
    """
    to_q, to_k, to_v = layer.in_proj_weight.chunk(3)
    q_bias, _, v_bias = layer.in_proj_bias.chunk(3)
    queries = linear(few, to_q, q_bias) * few.shape[2] ** -0.5
    scores = (queries @ to_k) @ many.mT
    weights = scores.masked_fill(~mask[:, None], float("-inf")).softmax(dim=2)
    return layer.out_proj(linear(weights @ many, to_v, v_bias)), weights
