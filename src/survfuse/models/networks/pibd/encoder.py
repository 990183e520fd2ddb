"""An encoder that is applied to all tokens and trained on those that are kept.

A gradient needs the activations of a token, and these are known by the time it is decided which
tokens are kept: nothing is computed twice, and nothing is stored of the others.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from survfuse.models.networks.pibd.dropout import relu_dropped_, scale_of

ROWS_AT_A_TIME = 1 << 11


class SelectiveEncoder(nn.Module):
    """Linear-ReLU-Dropout twice and Linear: in_width -> 2 width -> 2 width -> width."""

    def __init__(self, in_width: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.first = nn.Linear(in_width, 2 * width)
        self.second = nn.Linear(2 * width, 2 * width)
        self.third = nn.Linear(2 * width, width)

    @torch.no_grad()
    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(R, in_width) -> the activations of the three layers, without a gradient."""
        rate = self.dropout * self.training
        first = relu_dropped_(self.first(rows), rate)
        second = relu_dropped_(self.second(first), rate)
        return first, second, self.third(second)

    def with_stored_activations(
        self, rows: Tensor, first: Tensor, second: Tensor, third: Tensor
    ) -> Tensor:
        """The third of these activations of `forward`, (R, width), with its gradient."""
        parameters = [
            x for layer in (self.first, self.second, self.third) for x in (layer.weight, layer.bias)
        ]
        scale = scale_of(self.dropout * self.training)
        encoded: Tensor = StoredActivations.apply(third, scale, rows, first, second, *parameters)
        return encoded


class StoredActivations(torch.autograd.Function):
    """Three linear layers, the first two followed by ReLU and dropout, with known activations.

    A value that came through both is positive, so the result itself says where the gradient goes.
    """

    @staticmethod
    def forward(ctx: Any, result: Tensor, scale: float, *saved: Tensor) -> Tensor:
        ctx.save_for_backward(*saved)
        ctx.scale = scale
        return result.view_as(result)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weights = ctx.saved_tensors[:3], ctx.saved_tensors[3::2]
        to_rows = torch.empty_like(inputs[0]) if ctx.needs_input_grad[2] else None
        to_weights = [torch.zeros_like(weight) for weight in weights]
        to_biases = [torch.zeros_like(weight[:, 0]) for weight in weights]
        for start in range(0, len(inputs[0]), ROWS_AT_A_TIME):
            some = slice(start, start + ROWS_AT_A_TIME)
            flow = gradients[0][some]
            for layer in (2, 1, 0):
                known = inputs[layer][some]
                # Under autocast what flows is narrower than the parameters.
                to_weights[layer] += flow.T @ known.to(flow.dtype)
                to_biases[layer] += flow.sum(dim=0)
                if layer:
                    flow = flow @ weights[layer].to(flow.dtype)
                    flow = torch.ops.aten.threshold_backward(flow, known, 0).mul_(ctx.scale)
            if to_rows is not None:
                to_rows[some] = flow @ weights[0].to(flow.dtype)
        pairs = [x for pair in zip(to_weights, to_biases, strict=True) for x in pair]
        return None, None, to_rows, None, None, *pairs
