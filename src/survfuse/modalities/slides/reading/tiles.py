"""Which squares of a slide become tiles.

There is one grid for the whole slide, anchored at its top-left corner, so that tiles never
overlap and neighbours stay neighbours. Corner i lies at round(i * side): rounding the multiple,
not adding up a rounded side, keeps a large slide from drifting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from survfuse.modalities.slides.reading.tissue import Mask


@dataclass(frozen=True)
class Tiles:
    """The kept tiles of a slide, row by row from the top-left."""

    coords: NDArray[np.int64]  # (N, 2) level-0 pixels of the top-left corner, x before y
    tissue: NDArray[np.float64]  # (N,) share of the tile that is tissue
    side_px0: float  # exact side of a tile in level-0 pixels


def side_px0(tile_px: int, target_mpp: float, mpp: float) -> float:
    """Side in level-0 pixels of a tile of `tile_px` pixels at `target_mpp`."""
    return tile_px * target_mpp / mpp


def cut_tiles(
    mask: Mask, mask_px0: float, size_px0: tuple[int, int], side: float, min_tissue: float
) -> Tiles:
    """Tiles of `side` level-0 pixels whose share of tissue is at least `min_tissue`.

    `mask_px0` is the side of a mask pixel and `size_px0` the (width, height) of the slide, both
    in level-0 pixels. Tiles without any tissue and tiles that reach over the edge of the slide
    are never kept.
    """
    x, y = (grid_corners(length, side) for length in size_px0)
    share = tissue_share(mask, mask_px0, x, y, side)
    rows, columns = np.nonzero((share >= min_tissue) & (share > 0))
    coords = np.stack([x[columns], y[rows]], axis=1)
    return Tiles(coords, share[rows, columns], side)


def grid_corners(length_px0: int, side: float) -> NDArray[np.int64]:
    """Corners along one axis of all tiles that lie inside `length_px0` level-0 pixels."""
    corners = np.rint(np.arange(int(length_px0 / side) + 1) * side).astype(np.int64)
    return corners[corners + round(side) <= length_px0]


def tissue_share(
    mask: Mask,
    mask_px0: float,
    x_px0: NDArray[np.int64],
    y_px0: NDArray[np.int64],
    side: float,
) -> NDArray[np.float64]:
    """Share of tissue in the squares with corners `x_px0` by `y_px0`, (len(y), len(x)).

    The integral image is linear inside a mask pixel along each axis, so interpolating it gives
    the exact area of tissue also where a square cuts mask pixels.
    """
    height, width = mask.shape
    integral = np.zeros((height + 1, width + 1))
    integral[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)

    def at(edges_px0: NDArray[Any], table: NDArray[np.float64]) -> NDArray[np.float64]:
        position = np.clip(edges_px0 / mask_px0, 0, len(table) - 1)
        lower = np.minimum(position.astype(np.int64), len(table) - 2)
        part = (position - lower)[:, None]
        return table[lower] * (1 - part) + table[lower + 1] * part

    rows = at(y_px0 + side, integral) - at(y_px0, integral)
    area = at(x_px0 + side, rows.T) - at(x_px0, rows.T)
    return np.clip(area.T / (side / mask_px0) ** 2, 0.0, 1.0)
