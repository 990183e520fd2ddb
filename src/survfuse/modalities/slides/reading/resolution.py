"""How large the pixels of a slide are: from the sheet, the scanner's metadata or TIFF tags."""

from __future__ import annotations

import math
from collections.abc import Mapping

from survfuse.modalities.slides.faults import ImplausibleMpp, MissingMpp
from survfuse.modalities.slides.microscopy import PLAUSIBLE_MPP, SCANNER_MPP

MAX_ANISOTROPY = 0.05  # relative difference of the pixel's width and height
MAX_DISAGREEMENT = 0.1  # of sheet and file; rounded values differ by less
UNIT_UM = {"centimeter": 10_000.0, "inch": 25_400.0}
ORIGINS = {"metadata": "the scanner's metadata", "tiff": "the TIFF resolution tag"}
REMEDY = "write the right value into the column mpp of the slide sheet"


def resolve_mpp(properties: Mapping[str, str], declared: float | None) -> tuple[float, str]:
    """Micrometres per level-0 pixel, and where the value is from.

    The first that is there counts: the slide sheet ("sheet"), the scanner's metadata
    ("metadata"), the TIFF resolution tags ("tiff"). It is never guessed from the objective.
    Raises MissingMpp without any, ImplausibleMpp outside what scanners give (0.1 to 2 micrometres;
    a sheet may say 0.05 to 4, for exported images), and if width and height of a pixel differ by
    more than 5 %; below that their geometric mean is taken.
    """
    if declared is not None:
        return plausible(declared, declared, "the slide sheet", PLAUSIBLE_MPP), "sheet"
    told = told_mpp(properties)
    if told is None:
        raise MissingMpp(
            "neither the metadata nor the TIFF tags tell the micrometres per pixel; " + REMEDY
        )
    x, y, source = told
    return plausible(x, y, ORIGINS[source], SCANNER_MPP), source


def told_mpp(properties: Mapping[str, str]) -> tuple[float, float, str] | None:
    """Width and height of a pixel as the file tells them, and where; None if it does not."""
    x = number(properties.get("openslide.mpp-x"))
    y = number(properties.get("openslide.mpp-y"))
    # For plain TIFF, OpenSlide's values are themselves derived from the resolution tags.
    source = "tiff" if properties.get("openslide.vendor") == "generic-tiff" else "metadata"
    if x is None or y is None:
        x, y = tiff_mpp(properties, "X"), tiff_mpp(properties, "Y")
        source = "tiff"
    return None if x is None or y is None else (x, y, source)


def disagreement(properties: Mapping[str, str], declared: float | None) -> list[str]:
    """A sentence if sheet and file differ by more than 10 % on the size of a pixel.

    The sheet counts, because it is where a wrong file is corrected; a value from another slide,
    or from another level, would enlarge all tiles without a word.
    """
    told = told_mpp(properties)
    if declared is None or told is None:
        return []
    try:
        own = plausible(told[0], told[1], "", SCANNER_MPP)
    except ImplausibleMpp:
        return []  # which the sheet corrects
    if abs(math.log(declared / own)) <= math.log1p(MAX_DISAGREEMENT):
        return []
    return [
        f"the sheet says {declared:.4g} micrometres per pixel, {ORIGINS[told[2]]} {own:.4g}: the "
        "sheet's is used; correct it if it is wrong"
    ]


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


def plausible(x_mpp: float, y_mpp: float, origin: str, limits: tuple[float, float]) -> float:
    """The pixel size of both axes as one number, if it lies inside the limits."""
    low, high = limits
    if not (low <= x_mpp <= high and low <= y_mpp <= high):  # also refuses NaN
        raise ImplausibleMpp(
            f"{origin} gives {x_mpp:.4g} x {y_mpp:.4g} micrometres per pixel, which is wrong "
            f"(possible are {low:g} to {high:g}); {REMEDY}"
        )
    if abs(x_mpp - y_mpp) > MAX_ANISOTROPY * max(x_mpp, y_mpp):
        raise ImplausibleMpp(
            f"{origin} gives pixels of {x_mpp:.4g} x {y_mpp:.4g} micrometres, which are not "
            f"square; {REMEDY}"
        )
    return math.sqrt(x_mpp * y_mpp)
