"""Brain volumes as mixtures of a few intensities, and what their local shares say by themselves.

Dark, grey and bright voxels of a prepared volume are roughly its tissues, so that their shares in a
place measure how much of each is there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool3d

BACKGROUND = -1.0  # of prepared volumes
SHADES = 5
STEP = (1 - BACKGROUND) / SHADES
# Gain over all places: each weighs less where there are more of them, so that a step of the
# optimiser changes the sum by as much; its size suits the learning rate of deep networks.
GAIN = 1500.0


def shades(volumes: Tensor) -> Tensor:
    """(S, 1, I, J, K) -> (S, SHADES, I, J, K): how much of each intensity a voxel is.

    Hats at equal distances up to 1, the brightest; background is none of them and zero throughout.
    """
    centres = BACKGROUND + STEP * torch.arange(1, SHADES + 1, device=volumes.device)
    return (1 - (volumes - centres.view(1, -1, 1, 1, 1)).abs() / STEP).clamp(min=0)


class LocalShades(nn.Module):
    """A weighted sum of the mean shades in every place: (S, V) volumes -> (S, outputs).

    grid: number of places along each axis. Weights start at zero.
    """

    def __init__(
        self, shape: tuple[int, int, int], grid: tuple[int, int, int], outputs: int
    ) -> None:
        super().__init__()
        self.shape, self.grid = shape, grid
        places = grid[0] * grid[1] * grid[2]
        self.gain = GAIN / places
        self.weight = nn.Parameter(torch.zeros(outputs, SHADES * places))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, volumes: Tensor) -> Tensor:
        local = adaptive_avg_pool3d(shades(volumes.view(-1, 1, *self.shape)), self.grid)
        return self.gain * local.flatten(1) @ self.weight.mT + self.bias
