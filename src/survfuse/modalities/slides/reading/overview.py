"""A picture of a slide that shows what was taken from it: outlines of tissue, grid of tiles."""

from __future__ import annotations

import cv2
import numpy as np

from survfuse.modalities.slides.reading.reader import Image, LowResolution, Slide
from survfuse.modalities.slides.reading.tiles import Tiles
from survfuse.modalities.slides.reading.tissue import Mask, outlines

LONG_SIDE_PX = 1600  # at most
WANTED_SIDE_PX = 1200  # a pyramid level between the two spares reading a much larger one
JPEG_QUALITY = 85
# A black line in a white halo and Okabe and Ito's sky blue stand out from stained tissue, glass and
# pen with every colour vision.
OUTLINE = (((255, 255, 255), 5), ((0, 0, 0), 2))  # colour and width, halo first
GRID_RGB = (86, 180, 233)
GRID_OPACITY = 0.75
DAMAGED_RGB = (128, 128, 128)
BAR_RGB = (30, 30, 30)
BAR_SHARE = 0.2  # longest scale bar, as part of the picture's width
BAR_LENGTHS_UM = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


def overview_jpeg(slide: Slide, mask: Mask, mask_px0: float, tiles: Tiles) -> bytes:
    """A JPEG of at most 1600 pixels with outlines of tissue, tiles and a scale bar.

    It is drawn from the pyramid, never from the label or macro image, and carries no metadata.
    Areas that could not be decoded are grey.
    """
    low = slide.read_whole(max(slide.size_px0) * slide.mpp / WANTED_SIDE_PX)
    picture = draw(low, mask, mask_px0, tiles)
    ok, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise RuntimeError("OpenCV cannot encode JPEG")
    return jpeg.tobytes()


def draw(low: LowResolution, mask: Mask, mask_px0: float, tiles: Tiles) -> Image:
    """The overview as an RGB image of at most LONG_SIDE_PX."""
    scale = min(1.0, LONG_SIDE_PX / max(low.rgb.shape[:2]))
    size = (max(1, round(low.rgb.shape[1] * scale)), max(1, round(low.rgb.shape[0] * scale)))
    picture = low.rgb.copy()
    picture[low.damaged] = DAMAGED_RGB
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    px0 = low.px0 * low.rgb.shape[1] / size[0]  # level-0 pixels per pixel of the picture

    grid = picture.copy()
    first = np.rint(tiles.coords / px0).astype(int).tolist()
    last = np.rint((tiles.coords + tiles.side_px0) / px0).astype(int).tolist()
    for corner, opposite in zip(first, last, strict=True):
        cv2.rectangle(grid, corner, opposite, GRID_RGB, 2)
    picture = cv2.addWeighted(grid, GRID_OPACITY, picture, 1 - GRID_OPACITY, 0)
    rings = [
        np.rint((ring + 0.5) * mask_px0 / px0).astype(np.int32)
        for polygon in outlines(mask)
        for ring in polygon
    ]
    for colour, width in OUTLINE:
        cv2.polylines(picture, rings, True, colour, width, cv2.LINE_AA)
    draw_scale_bar(picture, low.mpp * px0 / low.px0)
    return picture


def bar_label(length_um: int) -> str:
    """A length of BAR_LENGTHS_UM as it stands beside its bar."""
    return f"{length_um // 1000} mm" if length_um >= 1000 else f"{length_um} µm"


def draw_scale_bar(picture: Image, mpp: float) -> None:
    """Add a scale bar at the bottom left, in place; none on pictures too small for one."""
    height, width = picture.shape[:2]
    fitting = [um for um in BAR_LENGTHS_UM if um / mpp <= BAR_SHARE * width]
    if not fitting or width < 200 or height < 100:
        return
    um = fitting[-1]
    text = bar_label(um)
    left, bottom, length = 16, height - 16, round(um / mpp)
    cv2.rectangle(
        picture, (8, bottom - 34), (left + max(length, 80) + 8, height - 8), (255,) * 3, -1
    )
    cv2.rectangle(picture, (left, bottom - 5), (left + length, bottom), BAR_RGB, -1)
    cv2.putText(
        picture, text, (left, bottom - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.55, BAR_RGB, 1, cv2.LINE_AA
    )
