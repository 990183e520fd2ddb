"""Pictures to look at: a volume in three planes with its mask, and a registration before and after.

Only prepared or masked voxels are drawn where there is a mask to cut by, so that no face can be
reconstructed from a picture in a report; nothing is written on them but what they show, and which
side is which.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from survfuse.config.imaging import RADIOLOGICAL, Display
from survfuse.core.files import atomic_path
from survfuse.modalities.volumes.volume import Affine, Array, Mask, spacing_of

SIDE_PX = 256  # of one plane
OUTLINE_RGB = (230, 159, 0)
TEXT_RGB = (255, 255, 255)
PARTS = (0.38, 0.55)  # where in the extent of the mask the two rows of planes lie
SHOWN_PERCENTILES = (1.0, 99.5)


def write_planes(
    path: Path, data: Array, mask: Mask, affine: Affine, display: Display = RADIOLOGICAL
) -> None:
    """Write a PNG of two rows: sagittal, coronal and axial planes with the outline of the mask."""
    rows = [planes(data, mask, affine, part, display) for part in PARTS]
    write_png(path, np.vstack(rows))


def write_alignment(
    path: Path,
    pictures: Sequence[tuple[str, Array]],
    mask: Mask,
    affine: Affine,
    display: Display = RADIOLOGICAL,
) -> None:
    """Write a PNG with a row of planes per named volume, all with the outline of the same mask."""
    rows = []
    for name, data in pictures:
        row = planes(data, mask, affine, PARTS[1], display)
        cv2.putText(row, name, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, TEXT_RGB, 1, cv2.LINE_AA)
        rows.append(row)
    write_png(path, np.vstack(rows))


def planes(data: Array, mask: Mask, affine: Affine, part: float, display: Display) -> MatLike:
    """Three planes through a volume, (SIDE_PX, 3 SIDE_PX, 3) uint8, RGB, marked by their sides."""
    low, high = np.percentile(data[mask] if mask.any() else data, SHOWN_PERCENTILES)
    grey = np.clip((data - low) / max(float(high - low), 1e-12) * 255, 0, 255).astype(np.uint8)
    (grey, inside), spacing_mm = upright((grey, mask), affine)
    drawn = []
    for axis in range(3):
        index = plane_at(inside, axis, part)
        others = [spacing for other, spacing in enumerate(spacing_mm) if other != axis]
        cut, outline = (as_seen(volume, axis, index, display) for volume in (grey, inside))
        drawn.append(marked(plane(cut, outline, others), axis, display))
    return np.hstack(drawn)


def upright(
    volumes: Sequence[NDArray[Any]], affine: Affine
) -> tuple[list[NDArray[Any]], tuple[float, float, float]]:
    """Volumes on one grid, reoriented to RAS+, and its spacing then."""
    from nibabel.orientations import apply_orientation, io_orientation

    orientation = io_orientation(affine)
    order = np.argsort(orientation[:, 0])
    x, y, z = (spacing_of(affine)[axis] for axis in order)
    return [apply_orientation(volume, orientation) for volume in volumes], (x, y, z)


def as_seen(volume: NDArray[Any], axis: int, index: int, display: Display) -> NDArray[Any]:
    """One plane of a volume with RAS axes, top or front upwards.

    Left of the picture is the front (sagittal), and in the others the patient's right in the
    radiological convention, the patient's left in the neurological one.
    """
    picture = np.take(volume, index, axis).T[::-1]
    return picture[:, ::-1] if axis == 0 or display == RADIOLOGICAL else picture


def marked(picture: MatLike, axis: int, display: Display) -> MatLike:
    """A plane with letters at its sides: A and P (sagittal), else R and L of the patient."""
    letters = "AP" if axis == 0 else "RL" if display == RADIOLOGICAL else "LR"
    for letter, left in zip(letters, (3, SIDE_PX - 19), strict=True):
        place = (left, SIDE_PX // 2 + 7)
        for colour, width in (((0, 0, 0), 5), (TEXT_RGB, 2)):  # to be read on dark and bright
            cv2.putText(picture, letter, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, width,
                        cv2.LINE_AA)  # fmt: skip
    return picture


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
