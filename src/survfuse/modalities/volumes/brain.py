"""Where the brain is: a mask by classical means, which needs no weights and no network.

A volume whose background was removed already keeps its own outline. Otherwise several thresholds
are tried, each with several depths of erosion, which cut the brain from scalp and eyes; the piece
that is left grows back to its threshold. Of all these candidates the one is kept that looks most
like a brain: of its size, close to an ellipsoid, and surrounded by something darker (skull, or
fluid), which neither a part of a brain is nor a brain with scalp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from survfuse.modalities.volumes.bias import foreground
from survfuse.modalities.volumes.faults import NoBrain
from survfuse.modalities.volumes.grid import covering_grid, resampled, resampled_mask
from survfuse.modalities.volumes.store import HEAD
from survfuse.modalities.volumes.volume import Grid, Mask, Volume

WORKING_MM = 2.5
BRAIN_ML = (600.0, 2100.0)  # of a mask that is believed
LEAST_CORE_ML = 150.0  # of an eroded piece that is worth growing
USUAL_ML = (1500.0, 1900.0)  # smaller and larger ones are less likely
HEAD_MM = 160.0  # from the top of the head down; below it is neck
HEAD_SHARE = 0.05  # of a slice that must be head to belong to it
STRIPPED_BACKGROUND = 0.25  # share of voxels of one value where the background was removed
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)  # between the dark and the bright end of the head
DEPTHS_MM = (2.0, 3.5, 5.0, 7.0, 9.0)  # of erosion
LEAST_LIKENESS = 0.6  # sound masks reach 0.6 to 0.9, with scalp or lost parts 0.6, noise 0.45
LEAST_ROUNDNESS = 0.75  # whole brains reach 0.86 to 0.91
CLOSING_MM = 8.0  # of furrows, and of ventricles that reach the outside
MARGIN_MM = 6.0  # by which a brain may stand out from that of the target after registration
SHELL_MM = 4.0  # around a candidate, in which it should be dark


@dataclass(frozen=True)
class Brain:
    """A mask (I, J, K) on the grid of its volume; `found_by`: given, outline, search, or head."""

    mask: Mask
    found_by: str

    @property
    def whole_head(self) -> bool:
        """Whether the mask is not that of a brain, so that what it cuts out may show a face."""
        return self.found_by == HEAD


def find_brain(volume: Volume) -> Brain:
    """The brain in a volume with RAS axes: MRI of any weighting, or PET.

    Bias should have been corrected. Raises NoBrain if nothing has the size of a brain.
    """
    outline = own_outline(volume)
    if (
        outline is not None
        and plausible(size_ml(outline, volume))
        and roundness(outline, volume.grid) >= LEAST_ROUNDNESS
    ):
        return Brain(outline, "outline")
    grid = covering_grid(volume.grid, (WORKING_MM,) * 3, upright=True)
    small = resampled(volume, grid, fill=float(volume.data.min()))
    best, best_score = None, LEAST_LIKENESS
    for candidate, threshold in candidates(small):
        score = likeness(candidate, small, threshold)
        if score > best_score:
            best, best_score = candidate, score
    if best is None:
        raise NoBrain(
            f"no part of the volume has the size of a brain ({BRAIN_ML[0]:.0f} to "
            f"{BRAIN_ML[1]:.0f} ml) and something darker around it; name a mask in the column "
            "mask, or leave the volume out"
        )
    return Brain(resampled_mask(best, grid, volume.grid), "search")


def given_brain(mask: Mask, volume: Volume) -> Brain:
    """A mask made elsewhere. Raises NoBrain unless it has the size and shape of a brain."""
    size = size_ml(mask, volume)
    if not plausible(size):
        raise NoBrain(
            f"the mask given holds {size:.0f} ml, a brain {BRAIN_ML[0]:.0f} to {BRAIN_ML[1]:.0f}; "
            "it must be above 0.5 in the brain, 0 elsewhere, in the space of the volume"
        )
    if roundness(mask, volume.grid) < LEAST_ROUNDNESS:
        raise NoBrain(
            "the mask given has the size of a brain, but not its shape; it must be filled, and "
            "hold all of the brain and nothing else"
        )
    return Brain(mask, "given")


def size_ml(mask: Mask, volume: Volume) -> float:
    """Volume of a mask in millilitres."""
    return float(mask.sum() * abs(np.linalg.det(volume.affine[:3, :3])) / 1000)


def plausible(millilitres: float) -> bool:
    """Whether a brain can have this volume."""
    return BRAIN_ML[0] <= millilitres <= BRAIN_ML[1]


def own_outline(volume: Volume) -> Mask | None:
    """What is not background, filled, where the background was removed; else None."""
    background = volume.data.min()
    if float((volume.data == background).mean()) < STRIPPED_BACKGROUND:
        return None
    return filled(largest_piece(volume.data > background))


def candidates(small: Volume) -> Iterator[tuple[Mask, float]]:
    """Masks that may be a brain, each with the threshold it was made from.

    `small` has cubic voxels and RAS axes. Slices far below the top of the head are left out, so
    that neck and shoulders are never taken for a brain.
    """
    mm = small.spacing_mm[0]
    head = foreground(small)
    share = head.mean(axis=(0, 1))
    top = int(np.flatnonzero(share >= min(HEAD_SHARE, share.max() / 2))[-1])
    above = np.zeros(head.shape, np.bool_)
    above[:, :, max(0, top - round(HEAD_MM / mm)) : top + 1] = True
    dark, bright = np.percentile(small.data[head], [2, 98])
    for part in THRESHOLDS:
        threshold = float(dark + part * (bright - dark))
        tissue = (small.data > threshold) & above
        # At the edge of the field of view nothing is known of the outside, which is no boundary.
        depth = (
            ndimage.distance_transform_edt(np.pad(tissue, 1, mode="edge"))[1:-1, 1:-1, 1:-1] * mm
        )
        for radius in DEPTHS_MM:
            core = largest_piece(depth > radius)
            if size_ml(core, small) >= LEAST_CORE_ML:
                grown = tissue & (distance_mm(core, mm) <= radius + 1)
                yield closed(grown, CLOSING_MM, mm), threshold


def likeness(candidate: Mask, small: Volume, threshold: float) -> float:
    """How much a candidate is like a brain, 0 to 1; 0 for one of another size."""
    size = size_ml(candidate, small)
    if not plausible(size):
        return 0.0
    near = distance_mm(candidate, small.spacing_mm[0]) <= SHELL_MM
    shell = near & ~candidate
    darker = float((small.data[shell] <= threshold).mean()) if shell.any() else 0.0
    usual = min(1.0, size / USUAL_ML[0]) ** 0.5 * min(1.0, USUAL_ML[1] / size) ** 2
    return darker * dice(candidate, ellipsoid_of(candidate)) * usual


def roundness(mask: Mask, grid: Grid) -> float:
    """How much a mask is like the ellipsoid of its moments (Dice), told on a coarse grid."""
    coarse = resampled_mask(mask, grid, covering_grid(grid, (WORKING_MM,) * 3, upright=True))
    return dice(coarse, ellipsoid_of(coarse)) if coarse.any() else 0.0


def ellipsoid_of(mask: Mask) -> Mask:
    """The ellipsoid with the centre and the second moments of a mask."""
    points = np.argwhere(mask)
    centre = points.mean(axis=0)
    inverse = np.linalg.pinv(np.cov(points.T))
    away = np.indices(mask.shape).reshape(3, -1).T - centre
    # A solid ellipsoid's semi-axes are the square root of 5 times its standard deviations.
    return np.asarray((np.einsum("ni,ij,nj->n", away, inverse, away) <= 5).reshape(mask.shape))


def closed(mask: Mask, radius_mm: float, mm: float) -> Mask:
    """A mask with gaps narrower than twice the radius closed, then filled."""
    margin = round(radius_mm / mm) + 1
    wide = distance_mm(np.pad(mask, margin), mm) <= radius_mm
    narrow = ndimage.distance_transform_edt(wide) * mm > radius_mm
    inner = slice(margin, -margin)
    return filled(narrow[inner, inner, inner])


def with_margin(mask: Mask, grid: Grid) -> tuple[Mask, Grid]:
    """A brain and MARGIN_MM around it, on a coarse grid."""
    coarse = covering_grid(grid, (WORKING_MM,) * 3, upright=True)
    return distance_mm(resampled_mask(mask, grid, coarse), WORKING_MM) <= MARGIN_MM, coarse


def distance_mm(mask: Mask, mm: float) -> NDArray[np.float64]:
    """Distance of every voxel from a mask that is not empty."""
    return np.asarray(ndimage.distance_transform_edt(~mask)) * mm


def filled(mask: Mask) -> Mask:
    """A mask without holes."""
    return np.asarray(ndimage.binary_fill_holes(mask))


def largest_piece(mask: Mask) -> Mask:
    """The largest connected part of a mask; the mask itself if it is empty or in one piece."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def dice(a: Mask, b: Mask) -> float:
    """Twice the overlap of two masks over the sum of their sizes; 1 for two empty ones."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0
