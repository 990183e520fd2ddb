"""A slide as a stream of parts: what it is, where its tissue is, its tiles, its overview.

This is the half of the slide stage that touches the slide's file. It runs in a process of its own
(see `survfuse.core.isolation`), because OpenSlide's libraries abort over absurd headers.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from survfuse.modalities.slides.faults import CorruptTile, TooSmall
from survfuse.modalities.slides.reading.overview import overview_jpeg
from survfuse.modalities.slides.reading.reader import Image, LowResolution, Slide
from survfuse.modalities.slides.reading.tiles import Tiles, cut_tiles, side_px0
from survfuse.modalities.slides.reading.tissue import MASK_MPP, find_tissue, geojson

TILES_AT_ONCE = 64


@dataclass(frozen=True)
class Tiling:
    """How a slide is cut into tiles; see the section `slides` of the configuration."""

    target_mpp: float
    tile_px: int
    min_tissue: float
    min_tissue_mm2: float


@dataclass(frozen=True)
class Opened:
    """What the slide is."""

    size_px0: tuple[int, int]
    mpp: float
    mpp_source: str
    notes: list[str]  # sentences on what is unusual
    level: int  # from which tiles are read
    downsample: float  # of that level
    level_size: tuple[int, int]  # its width and height


@dataclass(frozen=True)
class Found:
    """The tissue and the tiles with enough of it."""

    tiles: Tiles
    tissue_mm2: float
    ink_share: float
    found_by: str
    contours: str  # GeoJSON
    damaged: bool  # whether part of the picture that tissue was looked for in is missing


@dataclass(frozen=True)
class Pixels:
    """Some tiles, in their order."""

    readable: NDArray[np.bool_]  # (n,) which of the next n tiles can be decoded
    images: NDArray[np.uint8]  # (readable, tile_px, tile_px, 3)


@dataclass(frozen=True)
class Overview:
    """The picture of the slide with outlines and readable tiles."""

    jpeg: bytes


def decode_slide(
    path: Path, declared_mpp: float | None, tiling: Tiling
) -> Generator[Opened | Found | Pixels | Overview]:
    """One Opened, one Found, as many Pixels as needed, one Overview. Raises SlideFault."""
    cv2.setNumThreads(1)  # slides are worked on side by side
    with Slide(path, declared_mpp) as slide:
        level = slide.level_for(tiling.target_mpp)
        yield Opened(
            slide.size_px0,
            slide.mpp,
            slide.mpp_source,
            slide.notes,
            level,
            slide.downsamples[level],
            slide.level_sizes[level],
        )
        side = side_px0(tiling.tile_px, tiling.target_mpp, slide.mpp)
        if round(side) > min(slide.size_px0):
            raise TooSmall("not one tile fits on the slide; leave it out, or use smaller tiles")
        low = slide.read_whole(MASK_MPP)
        tissue = find_tissue(repaired(low), low.mpp, tiling.min_tissue_mm2)
        tiles = cut_tiles(tissue.mask, low.px0, slide.size_px0, side, tiling.min_tissue)
        yield Found(
            tiles,
            tissue.mm2,
            tissue.ink_share,
            tissue.found_by,
            geojson(tissue.mask, low.px0, slide.origin_px0),
            bool(low.damaged.any()),
        )
        readable = np.ones(len(tiles.coords), np.bool_)
        for start in range(0, len(tiles.coords), TILES_AT_ONCE):
            pixels = read_tiles(slide, tiles, start, tiling.tile_px)
            readable[start : start + TILES_AT_ONCE] = pixels.readable
            yield pixels
        kept = Tiles(tiles.coords[readable], tiles.tissue[readable], side)
        yield Overview(overview_jpeg(slide, tissue.mask, low.px0, kept))


def read_tiles(slide: Slide, tiles: Tiles, start: int, tile_px: int) -> Pixels:
    """The next tiles from number `start` on; those that are damaged are left out."""
    chosen = slice(start, start + TILES_AT_ONCE)
    corners, shares = tiles.coords[chosen].tolist(), tiles.tissue[chosen].tolist()
    images, readable = [], []
    for (x, y), share in zip(corners, shares, strict=True):
        try:
            images.append(slide.read_tile((x, y), tiles.side_px0, tile_px, share))
            readable.append(True)
        except CorruptTile:
            readable.append(False)
    shape = (len(images), tile_px, tile_px, 3)
    return Pixels(np.array(readable, np.bool_), np.array(images, np.uint8).reshape(shape))


def repaired(low: LowResolution) -> Image:
    """The small image with undecodable areas filled in from around them.

    Only to find tissue: tiles there then count as tissue tiles, fail to be read, and are counted.
    """
    if not low.damaged.any():
        return low.rgb
    return cv2.inpaint(low.rgb, low.damaged.astype(np.uint8), 3, cv2.INPAINT_TELEA)
