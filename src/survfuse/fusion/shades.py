"""Brain volumes as mixtures of a few intensities, and what their local shares say by themselves.

Dark, grey and bright voxels of a prepared volume are roughly its tissues, so that their shares in a
place measure how much of each is there.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d

from survfuse.fusion.from_zero import FromZero

BACKGROUND = -1.0  # of prepared volumes
SHADES = 5
STEP = (1 - BACKGROUND) / SHADES
# Gain of FromZero over all places: each weighs less where there are more of them, so that a step of
# the optimiser changes the sum by as much; its size suits the learning rate of deep networks.
GAIN = 1500.0
PLACES = (8, 10, 8)  # right, front, top: about 20 mm of a head, whatever the voxels


def shades(volumes: Tensor) -> Tensor:
    """(S, 1, I, J, K) -> (S, SHADES, I, J, K): how much of each intensity a voxel is.

    Hats at equal distances up to 1, the brightest; background is none of them and zero throughout.
    """
    centres = BACKGROUND + STEP * torch.arange(1, SHADES + 1, device=volumes.device)
    return (1 - (volumes - centres.view(1, -1, 1, 1, 1)).abs() / STEP).clamp(min=0)


class LocalShades(FromZero):
    """A weighted sum of the mean shades in every place: (S, V) volumes -> (S, outputs).

    Volumes as they lie: moving them interpolates, which mixes tissues and changes the shades. They
    count from their mean over the volumes of training: all brains share most of it, and the first
    steps of training, which in a small cohort are most of them, would go into undoing what it says.
    In prediction that mean is fixed, so that no volume changes the result of another.

    grid: number of places along each axis. A place and its mirror image, left and right, share
    their weights: most dementias take both sides, and half the weights overfit less.
    """

    mean: Tensor
    count: Tensor  # of the volumes in the mean

    def __init__(
        self,
        shape: tuple[int, int, int],
        outputs: int,
        grid: tuple[int, int, int] = PLACES,
    ) -> None:
        one_side = -(-grid[0] // 2)
        places = one_side * grid[1] * grid[2]
        super().__init__(SHADES * places, outputs, GAIN / places)
        self.shape, self.grid, self.one_side = shape, grid, one_side
        self.register_buffer("mean", torch.zeros(SHADES * places))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, volumes: Tensor) -> Tensor:
        local = adaptive_avg_pool3d(shades(volumes.view(-1, 1, *self.shape)), self.grid)
        both = (local + local.flip(2)) / 2
        x = both[:, :, : self.one_side].flatten(1)
        if self.training:
            self.follow(x.detach())
        return super().forward(x - self.mean)

    def follow(self, x: Tensor) -> None:
        """Let the mean follow some more volumes, (S, SHADES x places)."""
        self.count += len(x)
        self.mean += (x - self.mean).sum(dim=0) / self.count.clamp(min=1)
