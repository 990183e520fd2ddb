"""Self-attention among tokens: a class token and two attention layers over a bag or a set.

The encoder of TransMIL (Shao et al., NeurIPS 2021), which CMTA uses for both of its modalities.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from survfuse.models.networks.layers.bags import Grid
from survfuse.models.networks.layers.nystrom import NystromAttention, SelfAttention


class TokenEncoder(nn.Module):
    """A class token and two residual attention layers.

    On a grid, for tiles: attention with `landmarks` landmarks in large bags, and a convolution
    between the layers. Off it, for the unordered gene groups: exact attention and nothing that
    knows an order.
    """

    def __init__(self, width: int, dropout: float, *, on_grid: bool, landmarks: int = 128) -> None:
        super().__init__()

        def attention() -> SelfAttention:
            if on_grid:
                return NystromAttention(width, dropout=dropout, landmarks=landmarks)
            return SelfAttention(width, dropout=dropout)

        self.cls = nn.Parameter(1e-6 * torch.randn(1, 1, width))
        self.first_norm = nn.LayerNorm(width)
        self.first = attention()
        self.position = GridConvolution(width) if on_grid else None
        self.second_norm = nn.LayerNorm(width)
        self.second = attention()
        self.norm = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, mask: Tensor, grid: Grid | None = None
    ) -> tuple[Tensor, Tensor]:
        """tokens (B, n, width) -> class token (B, width) and the others (B, n, width)."""
        x = self.last_layer(self.first_layer(tokens, mask, grid), mask)
        cls, others = x.split([1, x.shape[1] - 1], dim=1)
        return cls.squeeze(1), others

    def summary(self, tokens: Tensor, mask: Tensor, grid: Grid | None = None) -> Tensor:
        """Only the class token (B, width); the others' last layer is never computed."""
        return self.last_layer(self.first_layer(tokens, mask, grid), mask, rows=1)[:, 0]

    def first_layer(self, tokens: Tensor, mask: Tensor, grid: Grid | None) -> Tensor:
        """tokens (B, n, width) -> the class token and they (B, 1 + n, width), before the last."""
        x = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1)
        x = x + self.first(self.first_norm(x), with_class_token(mask))
        if self.position is not None:
            x = self.position(x, mask, grid)
        return x

    def last_layer(self, x: Tensor, mask: Tensor, rows: int | None = None) -> Tensor:
        """The first `rows` (default: all) of the 1 + n tokens after the last layer."""
        attended = self.second(self.second_norm(x), with_class_token(mask), rows)
        return self.norm(x[:, :rows] + attended)


def with_class_token(mask: Tensor) -> Tensor:
    """(B, n) -> (B, 1 + n): the class token is always there."""
    return pad(mask, (1, 0), value=True)


class GridConvolution(nn.Module):
    """Add to each tile the 7 x 7, 5 x 5 and 3 x 3 depth-wise convolutions around its cell."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.middle = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.narrow = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor, mask: Tensor, grid: Grid) -> Tensor:
        """A class token, which stays as it is, and N tiles: (B, 1 + N, width) -> the same.

        Cells without a tile are zero; tiles that share a cell enter it by their mean.
        """
        batch, _, width = x.shape
        cells = grid.rows * grid.columns
        start = cells * torch.arange(batch, device=x.device)[:, None]
        place = (pad(grid.cell, (1, 0)) + start).flatten()
        weight = pad(mask, (1, 0)).to(x.dtype).flatten()
        count = x.new_zeros(batch * cells).index_add(0, place, weight).clamp(min=1)
        share = (weight / count[place])[:, None]
        canvas = x.new_zeros(batch * cells, width).index_add(0, place, x.flatten(0, 1) * share)
        canvas = canvas.view(batch, grid.rows, grid.columns, width)
        # The three are linear, so that their sum is one convolution.
        kernel = self.wide.weight + pad(self.middle.weight, (1,) * 4)
        kernel = kernel + pad(self.narrow.weight, (2,) * 4)
        convolutions = (self.wide, self.middle, self.narrow)
        bias = sum((conv.get_parameter("bias") for conv in convolutions), kernel.new_zeros(width))
        around = conv2d(canvas.permute(0, 3, 1, 2), kernel, bias, padding=3, groups=width)
        around = around.permute(0, 2, 3, 1).reshape(batch * cells, width)
        around = around.index_select(0, place).view_as(x)
        return torch.addcmul(x, around, weight.view(batch, -1, 1))


def take(tokens: Tensor, order: Tensor) -> Tensor:
    """Reorder (B, N, D) along N by (B, N) indices."""
    start = len(order[0]) * torch.arange(len(order), device=order.device)[:, None]
    return tokens.flatten(0, 1).index_select(0, (order + start).flatten()).view_as(tokens)
