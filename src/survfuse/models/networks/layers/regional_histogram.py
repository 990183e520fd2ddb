"""Soft intensity histograms of brain volumes, per voxel and per region, and a linear model of them.

Dark, grey and bright voxels of a prepared volume are roughly its tissues, so that the histogram of
a region measures how much of each tissue is there.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d

from survfuse.models.networks.layers.zero_initialised import ZeroInitialisedLinear

BACKGROUND = -1.0  # of prepared volumes
INTENSITY_BINS = 5
STEP = (1 - BACKGROUND) / INTENSITY_BINS
# Gain of the linear layer over all regions: each weighs less where there are more of them, so that
# a step of the optimiser changes the sum by as much; its size suits the learning rate of deep
# networks.
GAIN = 1500.0
REGIONS = (8, 10, 8)  # along the axes R, A, S: about 20 mm of a head, whatever the voxels


def intensity_histogram(volumes: Tensor) -> Tensor:
    """(S, 1, I, J, K) -> (S, INTENSITY_BINS, I, J, K): soft assignment of voxels to intensity bins.

    Triangular kernels at equal distances up to 1, the brightest; background belongs to no bin and
    is zero throughout.
    """
    centres = BACKGROUND + STEP * torch.arange(1, INTENSITY_BINS + 1, device=volumes.device)
    return (1 - (volumes - centres.view(1, -1, 1, 1, 1)).abs() / STEP).clamp(min=0)


class RegionalIntensityHistogram(ZeroInitialisedLinear):
    """Linear in the intensity histograms of all regions: (S, V) volumes -> (S, outputs).

    Volumes are not augmented: moving them interpolates, which mixes tissues and changes the
    histograms. These are centred by their mean over the volumes of training: all brains share most
    of it, and the first steps of training, which in a small cohort are most of them, would go into
    undoing what it says. In prediction that mean is fixed, so that no volume changes the result of
    another.

    grid: number of regions along each axis. A region and its mirror image, left and right, share
    their weights: most dementias affect both hemispheres, and half the weights overfit less.
    """

    mean: Tensor
    count: Tensor  # of the volumes in the mean

    def __init__(
        self,
        shape: tuple[int, int, int],
        outputs: int,
        grid: tuple[int, int, int] = REGIONS,
    ) -> None:
        one_side = -(-grid[0] // 2)
        regions = one_side * grid[1] * grid[2]
        super().__init__(INTENSITY_BINS * regions, outputs, GAIN / regions)
        self.shape, self.grid, self.one_side = shape, grid, one_side
        self.register_buffer("mean", torch.zeros(INTENSITY_BINS * regions))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, volumes: Tensor) -> Tensor:
        bins = intensity_histogram(volumes.view(-1, 1, *self.shape))
        regional = adaptive_avg_pool3d(bins, self.grid)
        both = (regional + regional.flip(2)) / 2
        x = both[:, :, : self.one_side].flatten(1)
        if self.training:
            self.update_mean(x.detach())
        return super().forward(x - self.mean)

    def update_mean(self, x: Tensor) -> None:
        """Take some more volumes into the running mean, (S, INTENSITY_BINS x regions)."""
        self.count += len(x)
        self.mean += (x - self.mean).sum(dim=0) / self.count.clamp(min=1)
