"""Pictures to look at: a volume in three planes with its mask, and a registration before and after.

Only prepared or masked voxels are drawn where there is a mask to cut by, so that no face can be
reconstructed from a picture in a report; nothing is written on them but what they show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from survfuse.files import atomic_path
from survfuse.imaging.volume import Array, Mask

SIDE_PX = 256  # of one plane
OUTLINE_RGB = (230, 159, 0)
TEXT_RGB = (255, 255, 255)
PARTS = (0.38, 0.55)  # where in the extent of the mask the two rows of planes lie
SHOWN_PERCENTILES = (1.0, 99.5)


def write_planes(
    path: Path, data: Array, mask: Mask, spacing_mm: tuple[float, float, float]
) -> None:
    """Write a PNG of two rows: sagittal, coronal and axial planes with the outline of the mask."""
    rows = [planes(data, mask, mask, spacing_mm, part) for part in PARTS]
    write_png(path, np.vstack(rows))


def write_alignment(
    path: Path,
    pictures: Sequence[tuple[str, Array]],
    mask: Mask,
    spacing_mm: tuple[float, float, float],
) -> None:
    """Write a PNG with a row of planes per named volume, all with the outline of the same mask."""
    rows = []
    for name, data in pictures:
        row = planes(data, mask, mask, spacing_mm, PARTS[1])
        cv2.putText(row, name, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, TEXT_RGB, 1, cv2.LINE_AA)
        rows.append(row)
    write_png(path, np.vstack(rows))


def planes(
    data: Array, mask: Mask, extent: Mask, spacing_mm: tuple[float, float, float], part: float
) -> MatLike:
    """Three planes through a volume with RAS axes, (SIDE_PX, 3 SIDE_PX, 3) uint8, RGB.

    Left of a picture is the front (sagittal) or the patient's left (coronal, axial).
    """
    low, high = np.percentile(data[extent] if extent.any() else data, SHOWN_PERCENTILES)
    grey = np.clip((data - low) / max(float(high - low), 1e-12) * 255, 0, 255).astype(np.uint8)
    drawn = []
    for axis in range(3):
        index = plane_at(extent, axis, part)
        others = [spacing for other, spacing in enumerate(spacing_mm) if other != axis]
        picture = np.take(grey, index, axis).T[::-1]
        inside = np.take(mask, index, axis).T[::-1]
        if axis == 0:
            picture, inside = picture[:, ::-1], inside[:, ::-1]
        drawn.append(plane(picture, inside, others))
    return np.hstack(drawn)


def plane_at(extent: Mask, axis: int, part: float) -> int:
    """Index of the plane that lies at a part of the extent of a mask along an axis."""
    axes = tuple(other for other in range(3) if other != axis)
    found = np.flatnonzero(extent.any(axis=axes))
    if not len(found):
        return extent.shape[axis] // 2
    return round(float(found[0] + part * (found[-1] - found[0])))


def plane(grey: NDArray[np.uint8], inside: Mask, spacing_mm: Sequence[float]) -> MatLike:
    """One plane in true proportions on a black square, with the outline of the mask."""
    height_mm, width_mm = grey.shape[0] * spacing_mm[1], grey.shape[1] * spacing_mm[0]
    scale = (SIDE_PX - 4) / max(height_mm, width_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    picture = cv2.resize(np.ascontiguousarray(grey), size, interpolation=cv2.INTER_LINEAR)
    picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    wide = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5
    rings, _ = cv2.findContours(wide.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, rings, -1, OUTLINE_RGB, 1, cv2.LINE_AA)
    square = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    top, left = (SIDE_PX - size[1]) // 2, (SIDE_PX - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = picture
    return square


def write_png(path: Path, picture: MatLike) -> None:
    """Write an RGB picture."""
    ok, png = cv2.imencode(".png", picture[..., ::-1])
    if not ok:
        raise RuntimeError("OpenCV cannot encode PNG")
    with atomic_path(path) as temporary:
        temporary.write_bytes(png.tobytes())
