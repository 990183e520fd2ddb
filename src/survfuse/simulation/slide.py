"""One simulated whole-slide image: drawn, then written as a pyramidal TIFF that OpenSlide reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from cv2.typing import MatLike

from survfuse.core.files import atomic_path
from survfuse.simulation.painter import Tint, develop, expose, mark_with_pen, paint_stains
from survfuse.simulation.sheets import cut_off
from survfuse.simulation.tissue import HEIGHT_PX0, WIDTH_PX0, draw_anatomy

MPP = 0.5
LEVELS = 4
TILE_PX = 256
JPEG_QUALITY = 80


@dataclass(frozen=True)
class SlideSpec:
    """Everything a slide is drawn from; `entropy` seeds it, so slides may be drawn in any order."""

    slide_id: str
    entropy: tuple[int, ...]
    high_grade_share: float
    infiltrate_share: float
    tint: Tint
    pen: bool = False
    blank: bool = False
    truncated: bool = False


def draw_slide(spec: SlideSpec) -> MatLike:
    """The slide at level 0: RGB (HEIGHT_PX0, WIDTH_PX0, 3) at MPP micrometres per pixel."""
    rng = np.random.default_rng(spec.entropy)
    if spec.blank:
        return expose(rng, np.full((HEIGHT_PX0, WIDTH_PX0, 3), 255, np.uint8))
    anatomy = draw_anatomy(rng, spec.high_grade_share, spec.infiltrate_share)
    image = develop(rng, *paint_stains(rng, anatomy), spec.tint)
    return mark_with_pen(rng, image) if spec.pen else image


def write_slide(spec: SlideSpec, directory: Path) -> None:
    """Draw the slide and write it to `directory`/<slide_id>.tif."""
    with atomic_path(directory / f"{spec.slide_id}.tif") as path:
        write_pyramid(path, draw_slide(spec))
        if spec.truncated:
            path.write_bytes(cut_off(path.read_bytes()))


def write_pyramid(path: Path, image: MatLike) -> None:
    """Write RGB (height, width, 3) as a tiled JPEG pyramid of LEVELS levels, each half the last.

    The resolution goes into the standard TIFF tags, in pixels per centimetre: OpenSlide reports
    it as `openslide.mpp-x` and `openslide.mpp-y`.
    """
    with tifffile.TiffWriter(path) as tiff:
        for level in range(LEVELS):
            if level:
                size = (image.shape[1] // 2, image.shape[0] // 2)
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            per_centimetre = 1e4 / (MPP * 2**level)
            tiff.write(
                image,
                photometric="rgb",
                subsampling=(2, 2),
                compression="jpeg",
                compressionargs={"level": JPEG_QUALITY},
                tile=(TILE_PX, TILE_PX),
                resolution=(per_centimetre, per_centimetre),
                resolutionunit="CENTIMETER",
                subfiletype=1 if level else 0,
                metadata=None,
                maxworkers=1,
            )
