"""The anatomy of one simulated section: where there is tissue, glands, tumour and infiltrate.

All fields are drawn at an eighth of the slide's resolution and enlarged by the painter, which
keeps outlines smooth and drawing quick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from survfuse.simulation.texture import smooth_noise

WIDTH_PX0, HEIGHT_PX0 = 3072, 2304
STEP_PX0 = 8  # level-0 pixels per field pixel
SHAPE = (HEIGHT_PX0 // STEP_PX0, WIDTH_PX0 // STEP_PX0)
TISSUE_SHARE = 0.50  # of the slide

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Anatomy:
    """Fields of shape SHAPE. The first five are positive inside what they are named after.

    `fibre_x` and `fibre_y` are positions in the collagen texture, in level-0 pixels; fibres run
    along `fibre_x`.
    """

    tissue: Field
    epithelium: Field
    lumen: Field
    high_grade: Field
    infiltrate: Field
    fibre_x: Field
    fibre_y: Field


def draw_anatomy(
    rng: np.random.Generator, high_grade_share: float, infiltrate_share: float
) -> Anatomy:
    """Draw a section in which these shares of the tissue are high grade and infiltrated.

    High-grade tumour grows in sheets without lumina; elsewhere glands with lumina lie in stroma.
    """
    tissue = draw_outline(rng)
    inside = tissue > 0
    high_grade = top_share(smooth_noise(rng, SHAPE, 75, octaves=3), high_grade_share, inside)
    infiltrate = top_share(smooth_noise(rng, SHAPE, 45, octaves=3), infiltrate_share, inside)
    glands = smooth_noise(rng, SHAPE, 20) + 0.2 * smooth_noise(rng, SHAPE, 7)
    sheet = np.clip(high_grade * 4, 0, 1).astype(np.float32)
    return Anatomy(
        tissue=tissue,
        epithelium=glands + 1.3 * sheet,
        lumen=glands - np.float32(1.35) - 4 * sheet,
        high_grade=high_grade,
        infiltrate=infiltrate,
        **draw_fibres(rng),
    )


def draw_outline(rng: np.random.Generator) -> Field:
    """One ragged piece of tissue with a few tears, covering TISSUE_SHARE of the slide."""
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j].astype(np.float32)
    turn = rng.uniform(-0.4, 0.4)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    piece = 0.22 * smooth_noise(rng, SHAPE, 60, octaves=4) - np.hypot(along / 0.95, across / 0.8)
    tears = smooth_noise(rng, SHAPE, 30, octaves=2)
    piece -= np.clip(tears - 1.9, 0, 1)
    # The edge of the slide must not cut the tissue off, nor shape it visibly: a wavy rounded frame.
    frame = (x**4 + y**4) ** 0.25 + 0.05 * smooth_noise(rng, SHAPE, 25, octaves=3)
    piece -= 6 * np.clip(frame - 0.78, 0, None)
    return piece - np.float32(np.quantile(piece, 1 - TISSUE_SHARE))


def draw_fibres(rng: np.random.Generator) -> dict[str, Field]:
    """Positions in the collagen texture: a main direction with waves and swirls."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32) * STEP_PX0
    turn = rng.uniform(0, np.pi)
    across = y * np.cos(turn) - x * np.sin(turn)
    across += 90 * smooth_noise(rng, SHAPE, 50) + 13 * smooth_noise(rng, SHAPE, 10)
    along = x * np.cos(turn) + y * np.sin(turn) + 30 * smooth_noise(rng, SHAPE, 30)
    return {"fibre_x": along.astype(np.float32), "fibre_y": across.astype(np.float32)}


def top_share(field: Field, share: float, inside: NDArray[np.bool_]) -> Field:
    """Shift `field` so that it is positive in exactly this share of `inside`."""
    return field - np.float32(np.quantile(field[inside], 1 - share))
