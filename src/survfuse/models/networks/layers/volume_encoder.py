"""3-D residual network from a brain volume to a small grid of tokens, shared by MRI and PET.

Residual blocks as He et al., CVPR 2016. Norms are over groups of channels (Wu and He, ECCV 2018) of
one volume, with scales of their own for each kind of volume: MRI and PET run in one pass, a batch
of one trains, and no volume changes the result of another.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, relu

from survfuse.models.networks.layers.regional_histogram import INTENSITY_BINS, intensity_histogram

LONGEST = 8  # tokens along the longest side, at most
PER_GROUP = 8  # channels that are normalised together


def grid_of(shape: tuple[int, int, int]) -> tuple[int, tuple[int, int, int]]:
    """How often a volume of this shape is halved until its longest side has at most LONGEST tokens.

    At least once. Returns it with the sides of the grid of tokens: 4 and (6, 8, 6) for 96 x 128 x
    96 voxels.
    """
    halvings = 1
    while -(-max(shape) // 2**halvings) > LONGEST:
        halvings += 1
    x, y, z = (-(-side // 2**halvings) for side in shape)
    return halvings, (x, y, z)


class ConditionalGroupNorm(nn.Module):
    """Group norm whose scale and offset depend on the kind of volume: (S, C, ...) -> the same."""

    def __init__(self, channels: int, kinds: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(kinds, channels))
        self.bias = nn.Parameter(torch.zeros(kinds, channels))

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        flat = (..., None, None, None)
        normal = group_norm(x, x.shape[1] // PER_GROUP)
        return torch.addcmul(self.bias[kind][flat], normal, self.weight[kind][flat])


class ResidualBlock(nn.Module):
    """Two convolutions of 3 x 3 x 3 and a shortcut; the first has the stride."""

    def __init__(self, before: int, after: int, stride: int, kinds: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = ConditionalGroupNorm(after, kinds)
        self.conv2 = nn.Conv3d(after, after, 3, padding=1, bias=False)
        self.norm2 = ConditionalGroupNorm(after, kinds)
        self.shortcut: nn.Conv3d | None = None
        if stride > 1 or before != after:
            self.shortcut = nn.Conv3d(before, after, 1, stride, bias=False)
            self.shortcut_norm = ConditionalGroupNorm(after, kinds)

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """x: (S, before, I, J, K). kind: (S,) int64."""
        hidden = relu(self.norm1(self.conv1(x), kind), inplace=True)
        hidden = self.norm2(self.conv2(hidden), kind)
        if self.shortcut is not None:
            x = self.shortcut_norm(self.shortcut(x), kind)
        return relu(hidden + x, inplace=True)


class VolumeEncoder(nn.Module):
    """Volumes of several kinds to `tokens` tokens of `channels` each.

    A stem over the intensity bins of the voxels and then stages, each of which halves the grid and,
    after the stem, doubles the channels. Raises ValueError for a width that is not a multiple of
    PER_GROUP.
    """

    def __init__(
        self, shape: tuple[int, int, int], *, width: int, blocks: int, kinds: int = 1
    ) -> None:
        super().__init__()
        if width % PER_GROUP:
            raise ValueError(f"width must be a multiple of {PER_GROUP}, found {width}")
        self.shape = shape
        halvings, self.grid = grid_of(shape)
        self.tokens = self.grid[0] * self.grid[1] * self.grid[2]
        sizes = [width * 2**stage for stage in range(halvings)]
        self.channels = sizes[-1]
        self.stem = nn.Conv3d(INTENSITY_BINS, width, 3, 2, padding=1, bias=False)
        self.stem_norm = ConditionalGroupNorm(width, kinds)
        self.blocks = nn.ModuleList()
        for before, after in pairwise(sizes):
            self.blocks.append(ResidualBlock(before, after, 2, kinds))
            self.blocks.extend(ResidualBlock(after, after, 1, kinds) for _ in range(blocks - 1))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                weight = module.weight.data.contiguous(memory_format=torch.channels_last_3d)
                module.weight = nn.Parameter(weight)

    def forward(self, volumes: Tensor, kind: Tensor) -> Tensor:
        """volumes (S, V), kind (S,) -> (S, tokens, channels)."""
        if not len(volumes):
            return volumes.new_zeros(0, self.tokens, self.channels)
        x = intensity_histogram(volumes.view(-1, 1, *self.shape))
        x = x.contiguous(memory_format=torch.channels_last_3d)
        x = relu(self.stem_norm(self.stem(x), kind), inplace=True)
        for block in self.blocks:
            x = block(x, kind)
        return x.flatten(2).mT
