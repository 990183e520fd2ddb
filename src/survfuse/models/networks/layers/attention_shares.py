"""Attention as reports show it: what share of the looking each token received."""

from __future__ import annotations

from torch import Tensor

WEIGHTS = 1 << 23  # attention weights held at a time, 32 MiB


def mean_shares(q: Tensor, k: Tensor, keys: Tensor, queries: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d)) over the real keys, averaged over heads and real queries: (B, m).

    q: (B, heads, n, d). k: (B, heads, m, d). keys: (B, m) and queries: (B, n) bool, true where
    real, at least one per row; no `queries` means all. Computed in blocks of queries, so that the
    n x m weights are never held together.
    """
    heads, count = q.shape[1:3]
    block = max(1, WEIGHTS // k[..., 0].numel())
    queries = keys.new_ones(len(q), count) if queries is None else queries
    total = k.new_zeros(keys.shape)
    for start in range(0, count, block):
        some = slice(start, start + block)
        scores = q[:, :, some] @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        shares = scores.masked_fill(~keys[:, None, None], float("-inf")).softmax(dim=-1)
        total = total + (shares * queries[:, None, some, None]).sum(dim=(1, 2))
    return total / (heads * queries.sum(dim=1, keepdim=True))
