"""The reference region of a PET, as far as it was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from survfuse.modalities.volumes.coverage import NOTED_SHARE
from survfuse.modalities.volumes.faults import CutOff
from survfuse.modalities.volumes.grid import resampled_mask
from survfuse.modalities.volumes.placement import Anchor
from survfuse.modalities.volumes.volume import Affine, Grid, Mask, inverse

LEAST_SHARE = 0.5  # of the region; less says too little of its uptake


def seen_reference(
    region: Mask, source: Grid, source_from_grid: Affine, placed: Anchor, known: dict[str, Any]
) -> Mask:
    """The part of a region, given on `source`, that a PET measured, on the grid of the results.

    `source_from_grid` (4, 4) takes world mm of the results to world mm of the region. Zero and the
    lowest value of a file count as not measured: programs fill with them what lies beyond the
    field of view. Records the share; raises CutOff below LEAST_SHARE.
    """
    data, native = placed.volume.data, placed.volume.grid
    measured = (data != 0) & (data > data.min())
    if region.any():
        points = np.argwhere(region) @ source.affine[:3, :3].T + source.affine[:3, 3]
        grid_from_source = inverse(source_from_grid)
        in_grid = looked_up(np.ones(placed.grid.shape, np.bool_), placed.grid, grid_from_source,
                            points)  # fmt: skip
        in_view = looked_up(measured, native, placed.native_from_grid @ grid_from_source, points)
        share = float((in_grid & in_view).mean())
        known["reference_in_view"] = round(share, 4)
        if share < LEAST_SHARE:
            raise CutOff(
                f"the field of view holds {share:.0%} of the reference region, too little for its "
                "mean; leave the volume out, or name a reference that lies within"
            )
        if share < NOTED_SHARE:
            said = f"{share:.0%} of the reference region lies in the field of view"
            known["reason"] = "; ".join(filter(None, [known["reason"], said]))
    on_grid = resampled_mask(region, source, placed.grid, source_from_grid)
    return on_grid & resampled_mask(measured, native, placed.grid, placed.native_from_grid)


def looked_up(
    mask: Mask, grid: Grid, grid_from_points: Affine, points_mm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """A mask at points (n, 3), mm; false beyond its grid."""
    matrix = inverse(grid.affine) @ grid_from_points
    index = np.rint(points_mm @ matrix[:3, :3].T + matrix[:3, 3]).astype(int)
    inside = ((index >= 0) & (index < mask.shape)).all(axis=1)
    found = np.zeros(len(index), np.bool_)
    found[inside] = mask[tuple(index[inside].T)]
    return found
