"""Many small linear layers of unequal width, run as a few large matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn


class GroupedLinear(nn.Module):
    """One linear layer per group: packed (B, W) -> (B, K, H), W = sum of the K widths.

    Equal to K separate `nn.Linear(width_k, H)` and as many parameters: weight (W, H), bias (K, H).
    Groups of similar width (the same power of two above them) share one batched product, their
    columns padded to the widest, so that 331 gene groups of 1 to 199 genes are nine products.
    """

    def __init__(self, widths: Sequence[int], out_features: int) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise ValueError(f"every group needs at least one column, found widths {list(widths)}")
        self.widths = tuple(widths)
        self.weight = nn.Parameter(torch.empty(sum(widths), out_features))
        self.bias = nn.Parameter(torch.zeros(len(widths), out_features))
        self.buckets, columns, place = padded_layout(self.widths)
        self.in_place = len(set(self.widths)) == 1  # nothing to pad or to reorder
        self.register_buffer("columns", columns.clamp(min=0), persistent=False)
        self.register_buffer("real", columns >= 0, persistent=False)
        self.register_buffer("place", place, persistent=False)
        self.reset_parameters()

    columns: Tensor
    real: Tensor
    place: Tensor

    def reset_parameters(self) -> None:
        """Xavier-normal for each group on its own, biases zero."""
        fan_out = self.weight.shape[1]
        with torch.no_grad():
            for block in self.weight.split(self.widths):
                block.normal_(0.0, math.sqrt(2.0 / (len(block) + fan_out)))
            self.bias.zero_()

    def forward(self, packed: Tensor) -> Tensor:
        inputs: Tensor = packed
        weights: Tensor = self.weight
        if not self.in_place:
            # Padding columns meet some other group's weights, hence the zeros on the input side.
            inputs = torch.where(self.real, packed.index_select(1, self.columns), 0.0)
            weights = weights.index_select(0, self.columns)
        if len(self.buckets) == 1:  # split would copy the whole gradient of the weights
            groups, width = self.buckets[0]
            product = inputs.unflatten(1, (groups, width)).transpose(0, 1) @ weights.unflatten(
                0, (groups, width)
            )
            return product.index_select(0, self.place).transpose(0, 1) + self.bias
        sizes = [groups * width for groups, width in self.buckets]
        products = [
            part.unflatten(1, bucket).transpose(0, 1) @ weight.unflatten(0, bucket)
            for bucket, part, weight in zip(
                self.buckets, inputs.split(sizes, dim=1), weights.split(sizes), strict=True
            )
        ]
        return torch.cat(products).index_select(0, self.place).transpose(0, 1) + self.bias


def padded_layout(widths: Sequence[int]) -> tuple[list[tuple[int, int]], Tensor, Tensor]:
    """Sort groups into buckets of similar width.

    Returns the (groups, padded width) of each bucket; the packed column behind every padded one, -1
    where there is none; and for each group its place in bucket order.
    """
    by_width = sorted(range(len(widths)), key=lambda group: (widths[group], group))
    members: dict[int, list[int]] = {}
    for group in by_width:
        members.setdefault((widths[group] - 1).bit_length(), []).append(group)
    starts = [0, *accumulate(widths)]
    buckets: list[tuple[int, int]] = []
    columns: list[int] = []
    for groups in members.values():
        widest = max(widths[group] for group in groups)
        buckets.append((len(groups), widest))
        for group in groups:
            columns += range(starts[group], starts[group + 1])
            columns += [-1] * (widest - widths[group])
    return buckets, torch.tensor(columns), torch.tensor(by_width).argsort()
