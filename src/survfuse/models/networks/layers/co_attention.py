"""Triple co-attention and channel aggregation of ITCFN, for sequences of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from survfuse.models.networks.layers.nystrom import exact_attention


class CoAttention(nn.Module):
    """One query per patient, from all modalities together, attends to the tokens of each.

    q = Linear [pooled_m, ...]; context_m = attention(q, K_m, V_m) with several heads;
    o_m = Linear [pooled_m, context_m].
    """

    def __init__(self, modalities: Sequence[str], width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(len(modalities) * width, width)
        self.key_value = nn.ModuleDict({name: nn.Linear(width, 2 * width) for name in modalities})
        self.out = nn.ModuleDict({name: nn.Linear(2 * width, width) for name in modalities})

    def forward(
        self, pooled: Mapping[str, Tensor], tokens: Mapping[str, Tensor], mask: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """pooled[m] (B, d), tokens[m] (B, n, d), mask[m] (B, n) true where real -> (B, d) each."""
        query = self.divide(self.query(torch.cat(list(pooled.values()), dim=1))[:, None])
        out = {}
        for name in pooled:
            key, value = self.key_value[name](tokens[name]).chunk(2, dim=2)
            attended = exact_attention(query, self.divide(key), self.divide(value), mask[name])
            context = attended.transpose(1, 2).flatten(1)
            out[name] = self.out[name](torch.cat([pooled[name], context], dim=1))
        return out

    def divide(self, x: Tensor) -> Tensor:
        """(B, n, d) -> (B, heads, n, d / heads)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class ChannelAggregation(nn.Module):
    """Interleaved channels of MRI and PET, gated by each other, then those of the covariates.

    The gate is a squeeze-and-excitation (Hu et al., CVPR 2018).
    """

    def __init__(self, width: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(1, 2 * width // reduction)
        self.gate = nn.Sequential(
            nn.Linear(2 * width, hidden), nn.ReLU(), nn.Linear(hidden, 2 * width), nn.Sigmoid()
        )

    def forward(self, mri: Tensor, pet: Tensor, clinical: Tensor) -> Tensor:
        """(B, d) three times -> (B, 3 d): even MRI, odd PET, the last third clinical."""
        images = torch.stack([mri, pet], dim=2).flatten(1)
        return torch.cat([images * self.gate(images), clinical], dim=1)
