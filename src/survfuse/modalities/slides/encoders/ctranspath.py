"""The stem of CTransPath: convolutions in place of the first cut into patches.

Wang et al., Medical Image Analysis 2022: a Swin-T whose patches of 4 x 4 pixels are embedded by two
convolutions of stride 2 and one of 1 x 1. Names of tensors are those of the published file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

PATCH_PX = 4


class ConvStem(nn.Module):
    """Takes the place of timm's PatchEmbed in a Swin transformer."""

    def __init__(
        self,
        img_size: int | tuple[int, int],
        patch_size: int,
        embed_dim: int,
        norm_layer: Callable[[int], nn.Module],
        **_: Any,
    ) -> None:
        super().__init__()
        if patch_size != PATCH_PX:
            raise ValueError(f"the stem of CTransPath makes patches of {PATCH_PX} pixels")
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.grid_size = height // PATCH_PX, width // PATCH_PX
        narrow = embed_dim // 8
        self.proj = nn.Sequential(
            *halving(3, narrow), *halving(narrow, 2 * narrow), nn.Conv2d(2 * narrow, embed_dim, 1)
        )
        self.norm = norm_layer(embed_dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) -> embedded patches (B, H / 4, W / 4, embed_dim)."""
        return self.norm(self.proj(pixels).permute(0, 2, 3, 1))


def halving(channels: int, wider: int) -> tuple[nn.Module, ...]:
    """A convolution to half the side, normalised and rectified."""
    convolution = nn.Conv2d(channels, wider, 3, stride=2, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(wider), nn.ReLU(inplace=True)
