"""Grids and the one interpolation that brings a volume onto one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from survfuse.modalities.volumes.volume import (
    LPS_FROM_RAS,
    Affine,
    Array,
    Grid,
    Mask,
    Volume,
    corners_of,
    inverse,
    to_image,
)

WIDTH_PER_SIGMA = 2.355  # full width at half maximum of a Gaussian


def grid_around(
    centre_mm: NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
    shape: tuple[int, int, int],
    axes: NDArray[np.float64] | None = None,
) -> Grid:
    """The grid with this middle; its axes are the world's unless `axes` (3, 3) are given."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes is None else axes) * np.asarray(spacing_mm)
    affine[:3, 3] = centre_mm - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(affine, shape)


def covering_grid(grid: Grid, spacing_mm: tuple[float, float, float], upright: bool) -> Grid:
    """The grid of another spacing that covers the same field of view."""
    axes = None if upright else grid.affine[:3, :3] / grid.spacing_mm
    if upright:
        extent = np.ptp(grid.affine[:3, :3] @ corners_of(grid.shape), axis=1) + np.abs(
            grid.affine[:3, :3]
        ).max(1)
    else:
        extent = np.asarray(grid.shape) * grid.spacing_mm
    counts = np.maximum(1, np.ceil(extent / spacing_mm - 1e-6)).astype(int)
    return grid_around(
        grid.centre_mm, spacing_mm, (int(counts[0]), int(counts[1]), int(counts[2])), axes
    )


def cropped_grid(grid: Grid, centre_mm: NDArray[np.float64], shape: tuple[int, int, int]) -> Grid:
    """A grid of the given shape on the same lattice, its middle as near to `centre_mm` as it can.

    Bringing a volume onto it only cuts off or adds voxels.
    """
    middle = np.linalg.solve(grid.affine, [*centre_mm, 1.0])[:3]
    first = np.rint(middle - (np.asarray(shape) - 1) / 2)
    affine = grid.affine.copy()
    affine[:3, 3] += grid.affine[:3, :3] @ first
    return Grid(affine, shape)


def middle_of(mask: Mask, affine: Affine) -> NDArray[np.float64]:
    """World coordinates of the middle of a mask's bounding box."""
    where = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    middle = np.array([(found[0] + found[-1]) / 2 for found in where])
    return affine[:3, :3] @ middle + affine[:3, 3]


def resampled(
    volume: Volume, grid: Grid, moving_from_grid: Affine | None = None, fill: float = 0.0
) -> Volume:
    """The volume on a grid, by linear interpolation; `fill` where it does not reach.

    `moving_from_grid` (4, 4) takes world mm of the grid to world mm of the volume. Where the grid
    is coarser, the volume is smoothed first, as far as the grid's voxels are wide.
    """
    import SimpleITK as sitk

    transform = sitk.AffineTransform(3)
    if moving_from_grid is not None:
        lps = LPS_FROM_RAS @ moving_from_grid @ LPS_FROM_RAS
        transform.SetMatrix(lps[:3, :3].ravel().tolist())
        transform.SetTranslation(lps[:3, 3].tolist())
    target = LPS_FROM_RAS @ grid.affine
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(list(grid.shape))
    resampler.SetOutputSpacing(grid.spacing_mm)
    resampler.SetOutputDirection((target[:3, :3] / grid.spacing_mm).ravel().tolist())
    resampler.SetOutputOrigin(target[:3, 3].tolist())
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(fill)
    resampler.SetTransform(transform)
    image = resampler.Execute(to_image(replace(volume, data=smoothed(volume, grid))))
    data = np.ascontiguousarray(sitk.GetArrayFromImage(image).T)
    return replace(volume, data=data, affine=grid.affine)


def smoothed(volume: Volume, grid: Grid) -> Array:
    """The voxels, smoothed along those axes along which the grid is coarser.

    The grid may be turned against the volume; the spacing that counts is that along its axes.
    """
    turned = np.abs(np.linalg.solve(axes_of(grid.affine), axes_of(volume.affine)))
    wanted = (turned * np.asarray(grid.spacing_mm)[:, None]).sum(axis=0) / turned.sum(axis=0)
    own = np.asarray(volume.spacing_mm)
    width = np.sqrt(np.maximum(wanted**2 - own**2, 0.0))
    sigma = width / WIDTH_PER_SIGMA / own
    if sigma.max() < 0.1:
        return volume.data
    return gaussian_filter(volume.data, sigma, truncate=2.5, mode="nearest")


def axes_of(affine: Affine) -> NDArray[np.float64]:
    """Directions of the axes of an affine, as unit columns (3, 3)."""
    return affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)


def resampled_mask(
    mask: Mask, source: Grid, grid: Grid, moving_from_grid: Affine | None = None
) -> Mask:
    """A mask on another grid: true where at least half of a voxel was."""
    volume = Volume(mask.astype(np.float32), source.affine)
    return resampled(volume, grid, moving_from_grid).data >= 0.5


def within(mask: Mask, source: Grid, grid: Grid, grid_from_source: Affine) -> Mask:
    """The part of a mask, given on `source`, whose voxels have their middle inside another grid.

    `grid_from_source` (4, 4) takes world mm of the one to world mm of the other.
    """
    index = np.argwhere(mask)
    matrix = inverse(grid.affine) @ grid_from_source @ source.affine
    place = index @ matrix[:3, :3].T + matrix[:3, 3]
    inside = ((place >= -0.5) & (place <= np.asarray(grid.shape) - 0.5)).all(axis=1)
    kept = np.zeros_like(mask)
    kept[tuple(index[inside].T)] = True
    return kept
