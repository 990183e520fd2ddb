"""Transformer encoder layers as in BERT: the norm after each residual sum.

Vaswani et al., NeurIPS 2017; Devlin et al., NAACL 2019. Dropout acts on what the two halves of a
layer add and inside the feed-forward half, never on attention weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn
from torch.nn.functional import linear

from survfuse.models.networks.layers.nystrom import exact_attention


class EncoderLayer(nn.Module):
    """Multi-head self-attention and a feed-forward half of `hidden` units, (B, n, width) -> same.

    Raises ValueError when the width is not a multiple of the heads.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        activation: Callable[[Tensor], Tensor],
        dropout: float = 0.0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of {heads}, the number of heads")
        self.heads = heads
        self.activation = activation
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.last_norm = nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.qkv, self.out, self.up, self.down):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None, rows: int | None = None) -> Tensor:
        """The first `rows` tokens (default: all) after looking at all: (B, rows, width).

        mask: (B, n) bool, true where a token is a key, at least one per row; None means
        all.
        """
        q, k, v = self.heads_of(x, rows)
        attended = exact_attention(q, k, v, mask).transpose(1, 2).flatten(2)
        x = self.norm(x[:, :rows] + self.dropout(self.out(attended)))
        inner = self.dropout(self.activation(self.up(x)))
        return self.last_norm(x + self.dropout(self.down(inner)))

    def heads_of(self, x: Tensor, rows: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, heads, rows, width / heads), and keys and values for all n tokens."""
        if rows is None:
            q, k, v = self.qkv(x).chunk(3, dim=-1)
        else:
            width = x.shape[-1]
            weight, bias = self.qkv.weight, self.qkv.bias
            q = linear(x[:, :rows], weight[:width], bias[:width])
            k, v = linear(x, weight[width:], bias[width:]).chunk(2, dim=-1)
        return self.divide(q), self.divide(k), self.divide(v)

    def divide(self, x: Tensor) -> Tensor:
        """(B, n, width) -> (B, heads, n, width / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def run_layers(layers: Iterable[nn.Module], x: Tensor, mask: Tensor | None = None) -> Tensor:
    """All tokens (B, n, width) through layers one after the other."""
    for layer in layers:
        x = layer(x, mask)
    return x


def frozen(layers: nn.ModuleList) -> nn.ModuleList:
    """The layers with every parameter turned into a buffer that a state dict leaves out.

    They still move between devices with the model and pass gradients on to their inputs.
    """
    for module in layers.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
    return layers
