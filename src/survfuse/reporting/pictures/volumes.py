"""Pictures of brain volumes for the pages: small JPEGs inside the page, of the brain alone.

A picture shows masked voxels only, so that no face can be had back from a page, and is encoded
anew from pixels, so that no metadata travels along. Where no brain was cut out, there is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from survfuse.artifacts.manifest import OK
from survfuse.artifacts.saliency import BLOCK
from survfuse.config.imaging import RADIOLOGICAL, Display
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.volumes.intensity import BACKGROUND
from survfuse.modalities.volumes.pictures import SIDE_PX, as_seen, marked, plane, plane_at, upright
from survfuse.modalities.volumes.store import HEAD, Prepared, VolumeStatus
from survfuse.reporting.pictures.slides import jpeg_uri

ROOM = 2  # voxels around the brain
PART = 0.5  # where in the extent of the brain the planes lie
PICTURE_BYTES = 40_000
SYNTHETIC = "SYNTHETIC"
MARK_RGB = (255, 176, 0)
FOR_RGB, AGAINST_RGB = (230, 97, 0), (26, 133, 255)  # colour-blind safe on grey
STRONGEST = 0.75  # opacity of the strongest block


def may_be_shown(config: Config, volume: VolumeStatus) -> bool:
    """Whether pictures of a volume show the brain alone: it was found, and the rest cut away."""
    return volume.status == OK and config.imaging.strip and volume.mask_by != HEAD


def picture_file(path: Path, width_px: int) -> str | None:
    """A picture that the imaging stage drew as a data URI; None where it is gone.

    Raises UserInputError if the file is not a picture.
    """
    if not path.is_file():
        return None
    try:
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB"))  # without any metadata
    except OSError as error:
        raise UserInputError(f"{path}: not readable as a picture: {error}") from None
    picture = Image.fromarray(pixels)
    picture.thumbnail((width_px, width_px))
    return jpeg_uri(picture, PICTURE_BYTES)


def three_planes(
    prepared: Prepared,
    synthetic: bool = False,
    saliency: NDArray[np.floating] | None = None,
    display: Display = RADIOLOGICAL,
) -> str:
    """Sagittal, coronal and axial planes through the middle of a brain, as a data URI.

    A synthetic volume is marked in the pixels, so that no copy loses the mark. `saliency` (i, j, k)
    is laid over it: orange where a block raised the probability of its class, blue where it lowered
    it, the strongest block of the volume being the most opaque.
    """
    near = neighbourhood(prepared.mask)
    shown = Prepared(prepared.volume[near], prepared.mask[near], prepared.affine)
    data = np.where(shown.mask, shown.volume.astype(np.float32), np.float32(BACKGROUND))
    grey = np.clip((data - BACKGROUND) * (255 / 2), 0, 255).astype(np.uint8)
    squares = [square(grey, shown, axis, display) for axis in range(3)]
    if saliency is not None:
        fine = spread(saliency, prepared.mask)[near]
        squares = [coloured(one, fine, shown, axis, display) for axis, one in enumerate(squares)]
    picture = np.hstack([marked(one, axis, display) for axis, one in enumerate(squares)])
    if synthetic:
        for number in range(3):
            at = (number * SIDE_PX + 8, SIDE_PX - 10)
            cv2.putText(picture, SYNTHETIC, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, MARK_RGB, 2,
                        cv2.LINE_AA)  # fmt: skip
        cv2.rectangle(picture, (1, 1), (picture.shape[1] - 2, SIDE_PX - 2), MARK_RGB, 3)
    return jpeg_uri(Image.fromarray(picture), PICTURE_BYTES)


def neighbourhood(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The part of a volume that holds the brain, with a little room; all of it without a brain."""
    if not mask.any():
        return tuple(slice(0, side) for side in mask.shape)
    found = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
             for axis in range(3)]  # fmt: skip
    return tuple(slice(max(int(at[0]) - ROOM, 0), int(at[-1]) + 1 + ROOM) for at in found)


def square(
    grey: NDArray[np.uint8], prepared: Prepared, axis: int, display: Display
) -> NDArray[np.uint8]:
    """One plane of a volume of 0 to 255, in true proportions, (SIDE_PX, SIDE_PX, 3)."""
    (grey, inside), spacing = upright((grey, prepared.mask), prepared.affine)
    others = [spacing[other] for other in range(3) if other != axis]
    picture = as_seen(grey, axis, plane_at(inside, axis, PART), display)
    without_outline = np.zeros(picture.shape, dtype=bool)
    return np.asarray(plane(np.ascontiguousarray(picture), without_outline, others), dtype=np.uint8)


def spread(saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A coarse map at every voxel, in -1..1 by its largest absolute value; 0 outside the brain.

    Raises UserInputError for a map of a volume of another size.
    """
    from scipy.ndimage import zoom

    if saliency.shape != tuple(-(-side // BLOCK) for side in mask.shape):
        found, voxels = ("x".join(map(str, sides)) for sides in (saliency.shape, mask.shape))
        raise UserInputError(
            f"saliency.h5 has a map of {found} blocks for a volume of {voxels} voxels; the volumes "
            "were prepared again since, so map them again with map-volumes"
        )
    largest = float(np.abs(saliency).max()) or 1.0
    fine = zoom(saliency / largest, BLOCK, order=1, grid_mode=True, mode="nearest")
    fine = fine[tuple(slice(0, full) for full in mask.shape)]  # the last blocks may be cut off
    return np.where(mask, fine, 0).astype(np.float32)


def coloured(
    picture: NDArray[np.uint8],
    fine: NDArray[np.float32],
    prepared: Prepared,
    axis: int,
    display: Display,
) -> NDArray[np.uint8]:
    """A plane with what speaks for the class in orange, and against it in blue."""
    painted: NDArray[Any] = picture.astype(np.float32)
    for sign, colour in ((1, FOR_RGB), (-1, AGAINST_RGB)):
        strength = np.clip(255 * sign * fine, 0, 255).astype(np.uint8)
        opacity = STRONGEST * square(strength, prepared, axis, display)[..., :1] / 255
        painted = painted * (1 - opacity) + np.array(colour, np.float32) * opacity
    return painted.round().astype(np.uint8)
