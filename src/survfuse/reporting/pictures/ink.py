"""Pen ink on the tiles of a slide, found as the slide stage finds it.

That stage takes pen marks out of the tissue, but a tile may hold both. Such a tile is a poor
picture of what a model looked at.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.modalities.slides.reading.decoding import repaired
from survfuse.modalities.slides.reading.reader import Slide
from survfuse.modalities.slides.reading.tissue import MASK_MPP, find_ink


def inked_tiles(path: Path, mpp: float, tiles: pd.DataFrame) -> np.ndarray:
    """Which tiles of a slide with `mpp` micrometres per pixel have any ink on them, (n,) bool.

    `tiles` has x_px0, y_px0 and side_px0. Raises SlideFault if the slide cannot be read.
    """
    with Slide(path, mpp) as slide:
        low = slide.read_whole(MASK_MPP)
    ink = find_ink(repaired(low), low.mpp)
    first = np.floor(tiles[["x_px0", "y_px0"]].to_numpy(float) / low.px0).astype(int)
    ends = tiles[["x_px0", "y_px0"]].to_numpy(float) + tiles[["side_px0"]].to_numpy(float)
    last = np.maximum(np.ceil(ends / low.px0).astype(int), first + 1)
    return np.array(
        [
            bool(ink[upper:lower, left:right].any())
            for (left, upper), (right, lower) in zip(first, last, strict=True)
        ],
        dtype=bool,
    )
