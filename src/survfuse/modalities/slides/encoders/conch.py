"""The image towers of CONCH: a vision transformer whose tokens a learned query sums up.

Lu et al., Nature Medicine 2024 (CONCH), and Ding et al. 2024 (CONCH 1.5, of TITAN). The embedding
is the contrastive one before the projection that compares it with texts, which is what the authors
advise for slides. Names of tensors are those of the published files.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

HEADS = 8


class QueryAttention(nn.Module):
    """One learned query that attends to all tokens (CONCH)."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, width))
        self.attn = nn.MultiheadAttention(
            width, HEADS, kdim=token_width, vdim=token_width, batch_first=True
        )
        self.ln_q, self.ln_k = nn.LayerNorm(width), nn.LayerNorm(token_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, token_width) -> (B, width)."""
        tokens = self.ln_k(tokens)
        query = self.ln_q(self.query).expand(len(tokens), 1, -1)
        return self.attn(query, tokens, tokens, need_weights=False)[0][:, 0]


class PlainQueryAttention(nn.Module):
    """The same without biases, with keys and values from one product (CONCH 1.5)."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, width))
        self.ln_q, self.ln_k = nn.LayerNorm(width), nn.LayerNorm(token_width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(token_width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, token_width) -> (B, width)."""
        query = self.to_q(self.ln_q(self.query)).expand(len(tokens), 1, -1)
        keys, values = self.to_kv(self.ln_k(tokens)).chunk(2, dim=-1)
        apart = [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (query, keys, values)]
        summed = scaled_dot_product_attention(*apart).transpose(1, 2).flatten(-2)
        return self.to_out(summed)[:, 0]


class ConchTower(nn.Module):
    """A transformer, the attention that sums up its tokens, and a last normalisation."""

    def __init__(self, trunk: Any, width: int, pooler: type[nn.Module]) -> None:
        super().__init__()
        self.trunk = trunk
        self.attn_pool_contrast = pooler(width, trunk.num_features)
        self.ln_contrast = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings (B, width) of normalised pixels (B, 3, height, width)."""
        tokens = self.trunk.forward_features(pixels)
        return self.ln_contrast(self.attn_pool_contrast(tokens))
