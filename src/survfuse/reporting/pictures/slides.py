"""Pictures of slides for the patient page: small JPEGs inside the page, cut from pixels only.

Everything is encoded anew from an array of pixels, so no EXIF, slide label or scanner metadata can
travel along.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from PIL import Image

from survfuse.core.errors import UserInputError
from survfuse.modalities.slides.reading.reader import Slide

OVERVIEW_PX = 680  # longest side
OVERVIEW_BYTES = 150_000  # two slides with two pictures each stay under 0.9 MB in base64
TILE_PX = 160
TILE_BYTES = 24_000
COLOURS = "viridis"  # perceptually uniform, readable without colour vision
DOUBLINGS = 2.0  # the colour scale runs this far below and above the average attention


@dataclass(frozen=True)
class Overview:
    """A whole slide in one small picture."""

    picture: Image.Image
    size_px0: tuple[int, int]  # width and height of the slide in level-0 pixels


def read_slide_overview(path: Path, mpp: float) -> Overview:
    """The overview from the pyramid of a slide with `mpp` micrometres per pixel.

    Raises SlideFault if the slide cannot be read.
    """
    with Slide(path, mpp) as slide:
        whole = slide.read_whole(max(slide.size_px0) * mpp / OVERVIEW_PX)
        return Overview(shrunk(Image.fromarray(whole.rgb)), slide.size_px0)


def read_overview_file(path: Path, size_px0: tuple[int, int]) -> Overview:
    """The overview that the slide stage drew. Raises UserInputError if it is not an image."""
    try:
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB"))  # without the metadata that Pillow keeps
    except OSError as error:
        raise UserInputError(f"{path}: not readable as an image: {error}") from None
    return Overview(shrunk(Image.fromarray(pixels)), size_px0)


def shrunk(picture: Image.Image) -> Image.Image:
    """The picture with its longest side at most OVERVIEW_PX."""
    picture.thumbnail((OVERVIEW_PX, OVERVIEW_PX))
    return picture


def attention_pictures(overview: Overview, tiles: pd.DataFrame) -> tuple[str, str]:
    """The overview as it is, and coloured by attention, as data URIs.

    `tiles` are those of this slide, with the column `relative` (1 = an average tile of the
    patient).
    """
    pixels = np.asarray(overview.picture, dtype=np.float32) / 255
    painted = paint(pixels, tiles, overview.size_px0)
    coloured = Image.fromarray((255 * painted).round().astype(np.uint8))
    return jpeg_uri(overview.picture, OVERVIEW_BYTES), jpeg_uri(coloured, OVERVIEW_BYTES)


def paint(pixels: np.ndarray, tiles: pd.DataFrame, size_px0: tuple[int, int]) -> np.ndarray:
    """Colour the tiles of a picture (h, w, 3) in [0, 1] by attention; the rest turns pale grey."""
    height, width, _ = pixels.shape
    position = np.full((height, width), np.nan, dtype=np.float32)
    scale = np.array([width, height]) / np.array(size_px0)
    corners = tiles[["x_px0", "y_px0"]].to_numpy(dtype=float)
    sides = tiles["side_px0"].to_numpy(dtype=float)[:, None]
    first = np.floor(corners * scale).astype(int)
    last = np.maximum(np.floor((corners + sides) * scale).astype(int), first + 1)
    places = scale_position(tiles["relative"].to_numpy(dtype=float))
    for (left, upper), (right, lower), place in zip(first, last, places, strict=True):
        position[upper:lower, left:right] = place
    grey = pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    painted = np.repeat((0.45 + 0.55 * grey)[:, :, None], 3, axis=2)
    inside = np.isfinite(position)
    colours = matplotlib.colormaps[COLOURS](position[inside])[:, :3]
    painted[inside] = 0.3 * grey[inside][:, None] + 0.7 * colours
    return painted


def scale_position(relative: np.ndarray) -> np.ndarray:
    """Place on the colour scale in [0, 1] of an attention relative to the average, by its log."""
    logarithm = np.log2(np.maximum(relative, 1e-9))
    return np.clip((logarithm + DOUBLINGS) / (2 * DOUBLINGS), 0, 1)


def colour_gradient() -> str:
    """The colour scale as a CSS gradient, from least to most attention."""
    colours = matplotlib.colormaps[COLOURS](np.linspace(0, 1, 9))
    stops = ", ".join(matplotlib.colors.to_hex(colour) for colour in colours)
    return f"linear-gradient(to right, {stops})"


def tile_pictures(path: Path, mpp: float, tiles: pd.DataFrame) -> list[str]:
    """The tiles of one slide, which has `mpp` micrometres per pixel, as data URIs, in order.

    Raises SlideFault if the slide cannot be read.
    """
    corners = tiles[["x_px0", "y_px0", "side_px0"]].itertuples(index=False)
    with Slide(path, mpp) as slide:
        return [
            jpeg_uri(
                Image.fromarray(slide.read_tile((x, y), side, min(TILE_PX, int(side)))), TILE_BYTES
            )
            for x, y, side in corners
        ]


def jpeg_uri(picture: Image.Image, most_bytes: int) -> str:
    """The picture as a JPEG data URI of at most `most_bytes` before base64.

    The quality falls until the picture fits; noise that never fits is halved in size.
    """
    for quality in (80, 70, 60, 45, 30):
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=quality, optimize=True)
        if buffer.tell() <= most_bytes:
            encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
            return f"data:image/jpeg;base64,{encoded}"
    return jpeg_uri(picture.resize((picture.width // 2, picture.height // 2)), most_bytes)
