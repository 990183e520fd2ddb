"""Random augmentation of the volumes of a training batch: mirrored, turned, scaled, shifted."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from survfuse.models.networks.layers.regional_histogram import BACKGROUND

TURN, SCALE, SHIFT = 0.1, 0.05, 0.05  # radians; relative; of the longest side


def random_view(volumes: Tensor, shape: tuple[int, int, int], strength: float) -> Tensor:
    """(S, V) volumes in another random position, half of them mirrored left to right.

    Turns, scales and shifts are normal with deviations of `strength` times TURN, SCALE and SHIFT;
    what enters from outside is background.
    """
    count = len(volumes)
    if not count:
        return volumes
    draws = strength * torch.randn(count, 9, device=volumes.device)
    turn, scale, shift = draws.split(3, dim=1)
    skew = volumes.new_zeros(count, 3, 3)
    for (row, column), angle in zip(((0, 1), (0, 2), (1, 2)), turn.T, strict=True):
        skew[:, row, column], skew[:, column, row] = TURN * angle, -TURN * angle
    matrix = torch.matrix_exp(skew) * (SCALE * scale).exp()[:, None]
    mirror = torch.where(torch.rand(count, device=volumes.device) < 0.5, -1.0, 1.0)
    matrix[:, :, 2] *= mirror[:, None]
    # grid_sample measures each axis in half sides, the last axis (superior) first, right last.
    half = torch.tensor(shape[::-1], device=volumes.device, dtype=volumes.dtype) / 2
    matrix = matrix * half[None, None, :] / half[None, :, None]
    moved = SHIFT * max(shape) * shift / half
    theta = torch.cat([matrix, moved[:, :, None]], dim=2)
    grid = affine_grid(theta, [count, 1, *shape], align_corners=False)
    above = (volumes - BACKGROUND).view(count, 1, *shape)
    return grid_sample(above, grid, align_corners=False).view_as(volumes) + BACKGROUND
