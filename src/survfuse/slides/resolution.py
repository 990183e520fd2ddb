"""How large the pixels of a slide are: from the sheet, the scanner's metadata or TIFF tags."""

from __future__ import annotations

import math
from collections.abc import Mapping

from survfuse.microscopy import PLAUSIBLE_MPP
from survfuse.slides.faults import ImplausibleMpp, MissingMpp

MAX_ANISOTROPY = 0.05  # relative difference of the pixel's width and height
UNIT_UM = {"centimeter": 10_000.0, "inch": 25_400.0}
ORIGINS = {"metadata": "the scanner's metadata", "tiff": "the TIFF resolution tag"}
REMEDY = "write the right value into the column mpp of the slide sheet"


def resolve_mpp(properties: Mapping[str, str], declared: float | None) -> tuple[float, str]:
    """Micrometres per level-0 pixel, and where the value is from.

    The first that is there counts: the slide sheet ("sheet"), the scanner's metadata
    ("metadata"), the TIFF resolution tags ("tiff"). It is never guessed from the objective.
    Raises MissingMpp without any, ImplausibleMpp outside 0.05 to 4 micrometres, and if width and
    height of a pixel differ by more than 5 %; below that their geometric mean is taken.
    """
    if declared is not None:
        return plausible(declared, declared, "the slide sheet"), "sheet"
    x = number(properties.get("openslide.mpp-x"))
    y = number(properties.get("openslide.mpp-y"))
    # For plain TIFF, OpenSlide's values are themselves derived from the resolution tags.
    source = "tiff" if properties.get("openslide.vendor") == "generic-tiff" else "metadata"
    if x is None or y is None:
        x, y = tiff_mpp(properties, "X"), tiff_mpp(properties, "Y")
        source = "tiff"
    if x is None or y is None:
        raise MissingMpp(
            "neither the metadata nor the TIFF tags tell the micrometres per pixel; " + REMEDY
        )
    return plausible(x, y, ORIGINS[source]), source


def tiff_mpp(properties: Mapping[str, str], axis: str) -> float | None:
    """Micrometres per pixel from the TIFF resolution tags; None if they say nothing."""
    pixels_per_unit = number(properties.get(f"tiff.{axis}Resolution"))
    unit_um = UNIT_UM.get(properties.get("tiff.ResolutionUnit", ""))
    if unit_um is None or not pixels_per_unit:
        return None
    return unit_um / pixels_per_unit


def number(text: str | None) -> float | None:
    """The text as a number, None if it is none."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def plausible(x_mpp: float, y_mpp: float, origin: str) -> float:
    """The pixel size of both axes as one number, if a microscope can have it."""
    low, high = PLAUSIBLE_MPP
    if not (low <= x_mpp <= high and low <= y_mpp <= high):  # also refuses NaN
        raise ImplausibleMpp(
            f"{origin} gives {x_mpp:.4g} x {y_mpp:.4g} micrometres per pixel, outside the "
            f"plausible {low:g} to {high:g}; {REMEDY}"
        )
    if abs(x_mpp - y_mpp) > MAX_ANISOTROPY * max(x_mpp, y_mpp):
        raise ImplausibleMpp(
            f"{origin} gives pixels of {x_mpp:.4g} x {y_mpp:.4g} micrometres, which are not "
            f"square; {REMEDY}"
        )
    return math.sqrt(x_mpp * y_mpp)
