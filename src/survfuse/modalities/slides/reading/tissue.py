"""Where on a slide there is tissue: a pure function of a small image, and its outlines.

Otsu's threshold (Otsu, IEEE Trans SMC 1979) on blurred saturation finds stained tissue; slides
without colour fall back to brightness. Otsu divides any image in two, even bare glass, so a
division only counts if the two parts are truly different.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from survfuse.modalities.slides.reading.reader import Image

Mask = NDArray[np.bool_]

MASK_MPP = 8.0  # resolution at which tissue is looked for; the kernels below are meant for it
BLUR_PX = 5
CLOSING_PX = 5
MIN_CONTRAST = 8.0  # grey levels between the mean of tissue and of glass, of 255
SURELY_STAINED = 50.0  # saturation that glass never has, even where tissue fills the image
GLASS_SPREADS = 6.0  # standard deviations of glass that are safely no glass
INK_SATURATION = 50
INK_BLACK = 70
INK_STROKE_UM = 24.0  # pen strokes are wider than this, nuclei are not
INK_PIECE_MM2 = 0.005  # and strokes are long
INK_MARGIN_UM = 24.0  # the soft edge of a stroke


@dataclass(frozen=True)
class Tissue:
    """The tissue of one slide at the resolution of the image it was found in."""

    mask: Mask  # (height, width)
    mm2: float
    ink_share: float  # part of the image covered by pen
    found_by: str  # "saturation", "brightness" or "nothing"


def find_tissue(rgb: Image, mpp: float, min_mm2: float) -> Tissue:
    """Find tissue in an image (height, width, 3) of about 8 micrometres per pixel.

    Pen marks are taken out first; connected pieces smaller than `min_mm2` square millimetres are
    ignored. A blank slide gives an empty mask.
    """
    ink = find_ink(rgb, mpp)
    saturation = cv2.medianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[..., 1], BLUR_PX)
    darkness = cv2.medianBlur(255 - cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), BLUR_PX)
    mask, found_by = np.zeros_like(ink), "nothing"
    channels = (("saturation", saturation, SURELY_STAINED), ("brightness", darkness, 255.0))
    for name, channel, surely_tissue in channels:
        threshold = tissue_threshold(channel[~ink], surely_tissue)
        if threshold is not None:
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (CLOSING_PX, CLOSING_PX))
            raw = ((channel > threshold) & ~ink).astype(np.uint8)
            mask = cv2.morphologyEx(raw, cv2.MORPH_CLOSE, kernel).astype(np.bool_) & ~ink
            found_by = name
            break
    mask = without_small_pieces(mask, min_mm2 * 1e6 / mpp**2)
    return Tissue(mask, float(mask.sum()) * mpp**2 / 1e6, float(ink.mean()), found_by)


def tissue_threshold(values: MatLike, surely_tissue: float) -> float | None:
    """The grey level that divides glass from tissue; None if there is only one of them.

    A second class that is nothing but noise lies close to the first, hence `MIN_CONTRAST`. On
    slides with little tissue Otsu's threshold lies far above the glass and would lose the pale
    parts, so it is lowered to where glass certainly ends; and it never lies above
    `surely_tissue`, because where tissue fills the image it divides the tissue itself.
    """
    if not values.size:
        return None
    otsu, _ = cv2.threshold(values.reshape(1, -1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    tissue, glass = values[values > otsu], values[values <= otsu]
    if not tissue.size or not glass.size or tissue.mean() - glass.mean() < MIN_CONTRAST:
        return surely_tissue if np.median(values) > surely_tissue else None
    end_of_glass = float(glass.mean() + max(GLASS_SPREADS * glass.std(), MIN_CONTRAST))
    return min(otsu, end_of_glass, surely_tissue)


def find_ink(rgb: Image, mpp: float) -> Mask:
    """Felt pen: solid areas that are blue, green or black.

    Haematoxylin and eosin both let more red than green through, ink of these colours does not.
    Red pen looks like eosin and is not found.
    """
    red, green = rgb[..., 0], rgb[..., 1]
    saturation = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[..., 1]
    candidate = ((green >= red) & (saturation > INK_SATURATION)) | (rgb.max(axis=2) < INK_BLACK)
    solid = cv2.morphologyEx(candidate.astype(np.uint8), cv2.MORPH_OPEN, disc(INK_STROKE_UM / mpp))
    strokes = without_small_pieces(solid, INK_PIECE_MM2 * 1e6 / mpp**2).astype(np.uint8)
    return cv2.dilate(strokes, disc(2 * INK_MARGIN_UM / mpp)).astype(np.bool_)


def disc(diameter_px: float) -> MatLike:
    """A round kernel of odd size, at least 3 pixels."""
    side = max(3, 2 * round((diameter_px - 1) / 2) + 1)
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def without_small_pieces(mask: Mask | MatLike, min_px: float) -> Mask:
    """The mask without connected pieces of fewer than `min_px` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= min_px
    large[0] = False  # the background
    return large[labels]


def outlines(mask: Mask) -> list[list[MatLike]]:
    """Polygons of the mask in its own pixels: per piece the outer ring, then its holes.

    Each ring is (points, 2), x before y, not closed. Rings with fewer than three points are left
    out.
    """
    rings, hierarchy = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    polygons = []
    for index, ring in enumerate(rings):
        is_hole = hierarchy[0][index][3] >= 0
        if is_hole or len(ring) < 3:
            continue
        polygon = [ring[:, 0]]
        hole = hierarchy[0][index][2]
        while hole >= 0:
            if len(rings[hole]) >= 3:
                polygon.append(rings[hole][:, 0])
            hole = hierarchy[0][hole][0]
        polygons.append(polygon)
    return polygons


def geojson(mask: Mask, px0: float, origin_px0: tuple[int, int] = (0, 0)) -> str:
    """The outlines of tissue as GeoJSON, as QuPath reads it.

    `px0` is the side of a mask pixel in level-0 pixels. QuPath shows, and numbers, the scanned
    part alone of slides that tell where it lies (MIRAX, Leica SCN): positions count from its
    corner `origin_px0`, which is added as a member of that name. The coordinate system named in
    the file is a placeholder that readers of planar coordinates expect.
    """
    features = []
    for tissue_id, polygon in enumerate(outlines(mask)):
        rings = []
        for ring in polygon:
            points = np.round((ring + 0.5) * px0 - origin_px0, 1).tolist()  # from pixel centres
            rings.append([*points, points[0]])
        features.append(
            {
                "type": "Feature",
                "properties": {"tissue_id": tissue_id},
                "geometry": {"type": "Polygon", "coordinates": rings},
            }
        )
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    collection = {
        "type": "FeatureCollection",
        "crs": crs,
        "origin_px0": list(origin_px0),
        "features": features,
    }
    return json.dumps(collection) + "\n"
