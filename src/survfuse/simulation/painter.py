"""Painting a section: stains first, then light.

A slide is painted as the concentrations of haematoxylin and eosin (uint8 steps) and turned into
colour by the law of Beer and Lambert, with stain vectors as in Macenko et al., ISBI 2009.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from survfuse.simulation.texture import ANGLES, SHAPES, materials
from survfuse.simulation.tissue import HEIGHT_PX0, STEP_PX0, WIDTH_PX0, Anatomy, Field

Steps = MatLike  # uint8

HAEMATOXYLIN_OD = np.array([0.563, 0.720, 0.406])  # optical density, red green blue
EOSIN_OD = np.array([0.216, 0.801, 0.558])
HAEMATOXYLIN_RANGE, EOSIN_RANGE = 3.0, 2.2  # concentration at step 255
GLASS = np.array([244, 243, 245])  # colour of empty glass under the lamp
NOISE_STEPS = 6  # range of the sensor noise
PEN_INKS = ((38, 60, 150), (30, 120, 70), (35, 33, 38))  # blue, green, black
PEN_WIDTH_PX0 = (120, 200)


@dataclass(frozen=True)
class Tint:
    """How strongly a laboratory stains, and how far its haematoxylin leans to blue."""

    haematoxylin: float = 1.0
    eosin: float = 1.0
    blue: float = 0.0


def enlarge(field: Field, gain: float) -> Steps:
    """A field at level-0 resolution in steps: 128 at zero, `gain` steps per unit."""
    steps = np.clip(128 + gain * field, 0, 255).astype(np.uint8)
    return cv2.resize(steps, (WIDTH_PX0, HEIGHT_PX0), interpolation=cv2.INTER_CUBIC)


def inside(steps: Steps, softness: float, edge: float = 128) -> Steps:
    """Opacity 0..255 of what lies above `edge`, with a transition `softness` steps wide."""
    ramp = 127.5 + (np.arange(256) - edge) * 255 / softness
    return cv2.LUT(steps, np.clip(ramp, 0, 255).astype(np.uint8))


def times(a: Steps, b: Steps) -> Steps:
    """Product of two opacities."""
    return cv2.multiply(a, b, scale=1 / 255)


def curve(steps: Steps, points: list[tuple[float, float]]) -> Steps:
    """Apply a piecewise linear curve through these (in, out) points."""
    at, value = zip(*points, strict=True)
    return cv2.LUT(steps, np.interp(np.arange(256), at, value).round().astype(np.uint8))


def paint_stains(rng: np.random.Generator, anatomy: Anatomy) -> tuple[Steps, Steps]:
    """Haematoxylin and eosin of a section, each (HEIGHT_PX0, WIDTH_PX0)."""
    bank = materials()
    size = (WIDTH_PX0, HEIGHT_PX0)
    fibres = cv2.remap(
        bank.fibres,
        cv2.resize(anatomy.fibre_x, size),
        cv2.resize(anatomy.fibre_y, size),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    shift = tuple(rng.integers(0, bank.grain.shape[0], 2))
    grain = np.tile(np.roll(bank.grain, shift, (0, 1)), (3, 3))[:HEIGHT_PX0, :WIDTH_PX0]

    # The fibres fray every outline a little, by 12 steps on average.
    fray, edge = curve(fibres, [(0, 0), (255, 24)]), 140
    outline = cv2.add(enlarge(anatomy.tissue, 500), fray)
    nests = cv2.add(enlarge(anatomy.epithelium, 60), fray)
    tissue = times(inside(outline, 24, edge), 255 - inside(enlarge(anatomy.lumen, 80), 14))
    epithelium = inside(nests, 10, edge)
    stroma = 255 - epithelium
    tumour = times(epithelium, inside(enlarge(anatomy.high_grade, 40), 30))

    collagen = curve(fibres, [(0, 8), (70, 20), (100, 78), (150, 108), (255, 150)])
    cytoplasm = curve(grain, [(0, 52), (255, 112)])
    eosin = times(cv2.add(times(collagen, stroma), times(cytoplasm, epithelium)), tissue)
    basophilia = cv2.add(
        times(curve(fibres, [(0, 2), (255, 14)]), stroma),
        times(curve(grain, [(0, 8), (255, 48)]), epithelium),
    )
    basophilia = cv2.add(basophilia, times(curve(grain, [(0, 4), (255, 26)]), tumour))
    haematoxylin = times(basophilia, tissue)
    stamp_nuclei(rng, haematoxylin, anatomy)
    return haematoxylin, eosin


def stamp_nuclei(rng: np.random.Generator, haematoxylin: Steps, anatomy: Anatomy) -> None:
    """Add the nuclei of every kind to `haematoxylin`, in place."""
    a = anatomy
    across_fibres = gradient_angle(a.fibre_y)
    out_of_gland = gradient_angle(a.epithelium)
    solid = (a.tissue > 0.02) & (a.lumen < 0)
    epithelium = solid & (a.epithelium > 0)
    high = solid & (a.high_grade > 0)
    low = epithelium & ~high
    stroma = solid & ~epithelium
    dense = solid & (a.infiltrate > 0)
    any_way = rng.uniform(0, np.pi, a.tissue.shape).astype(np.float32)

    def chance(*parts: tuple[NDArray[np.bool_], float]) -> Field:
        return np.sum([where * np.float32(p) for where, p in parts], axis=0)

    basal = low & (a.epithelium < 0.6)
    crowded = high & epithelium & dense  # where lymphocytes push in between tumour cells
    plan = [  # kind, spacing in level-0 pixels, chance of a nucleus at each place, direction
        ("stroma", 30, chance((stroma, 0.5)), across_fibres + np.pi / 2),
        ("low", 15, chance((basal, 0.9), (low & ~basal, 0.4)), out_of_gland),
        ("high", 20, chance((high, 0.3), (high & epithelium, 0.6), (crowded, -0.4)), any_way),
        ("lymphocyte", 13, chance((solid, 0.012), (dense, 0.55)), any_way),
    ]
    for kind, spacing, probability, direction in plan:
        y, x = scatter(rng, spacing)
        place = (y // STEP_PX0, x // STEP_PX0)
        kept = rng.random(len(y)) < probability[place]
        turns = direction[place] / np.pi * ANGLES + rng.normal(0, 0.8, len(y))
        stamp(
            haematoxylin,
            materials().nuclei[kind],
            y[kept],
            x[kept],
            np.rint(turns[kept]).astype(int) % ANGLES,
            rng.integers(0, SHAPES, int(kept.sum())),
        )


def stamp(
    canvas: Steps,
    bank: list[list[NDArray[np.uint8]]],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    angle: NDArray[np.int64],
    shape: NDArray[np.int64],
) -> None:
    """Lay stamps of the bank on the canvas, centred at (y, x); the darker stain wins."""
    for cy, cx, a, s in zip(y.tolist(), x.tolist(), angle.tolist(), shape.tolist(), strict=True):
        mark = bank[a][s]
        reach = mark.shape[0] // 2
        if reach <= cy < canvas.shape[0] - reach and reach <= cx < canvas.shape[1] - reach:
            view = canvas[cy - reach : cy + reach + 1, cx - reach : cx + reach + 1]
            np.maximum(view, mark, out=view)


def scatter(
    rng: np.random.Generator, spacing_px0: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places (y, x) about `spacing_px0` apart: a jittered triangular grid over the slide."""
    rows = int(HEIGHT_PX0 / (spacing_px0 * 0.866))
    columns = int(WIDTH_PX0 / spacing_px0)
    row, column = np.mgrid[:rows, :columns].reshape(2, -1)
    jitter = rng.normal(0, 0.22, (2, row.size))
    y = (row + 0.5 + jitter[0]) * spacing_px0 * 0.866
    x = (column + 0.25 + 0.5 * (row % 2) + jitter[1]) * spacing_px0
    return (
        np.clip(y, 0, HEIGHT_PX0 - 1).astype(np.int64),
        np.clip(x, 0, WIDTH_PX0 - 1).astype(np.int64),
    )


def gradient_angle(field: Field) -> Field:
    """Direction of steepest ascent, in radians."""
    dy, dx = np.gradient(field)
    return np.arctan2(dy, dx)


def develop(rng: np.random.Generator, haematoxylin: Steps, eosin: Steps, tint: Tint) -> Steps:
    """Light through the stains: RGB (HEIGHT_PX0, WIDTH_PX0, 3), with shading and sensor noise."""
    lean = np.array([0.06, 0.0, -0.06]) * tint.blue
    first = (HAEMATOXYLIN_OD + lean) * HAEMATOXYLIN_RANGE * tint.haematoxylin
    second = EOSIN_OD * EOSIN_RANGE * tint.eosin
    return expose(rng, times(transmitted(haematoxylin, first), transmitted(eosin, second)))


def transmitted(stain: Steps, density: NDArray[np.float64]) -> Steps:
    """Share of light (0..255) that passes a stain whose step 255 has this optical density."""
    tables = (255 * np.exp(-np.outer(density, np.arange(256)) / 255)).round().astype(np.uint8)
    return cv2.merge([cv2.LUT(stain, table) for table in tables])


def expose(rng: np.random.Generator, light: Steps) -> Steps:
    """A scanner's picture of the transmitted light: glass colour, uneven lamp, noise."""
    y, x = np.mgrid[-1:1:9j, -1:1:12j]
    slope = rng.normal(0, 0.004, 2)
    lamp = 1 + slope[0] * y + slope[1] * x - 0.008 * (x**2 + y**2)
    lamp = (lamp[..., None] * (GLASS - NOISE_STEPS / 2)).round().astype(np.uint8)
    lit = times(light, cv2.resize(lamp, (WIDTH_PX0, HEIGHT_PX0)))
    noise = rng.integers(0, NOISE_STEPS, (HEIGHT_PX0, WIDTH_PX0), np.uint8, endpoint=True)
    return cv2.add(lit, cv2.cvtColor(noise, cv2.COLOR_GRAY2RGB))


def mark_with_pen(rng: np.random.Generator, image: Steps) -> Steps:
    """One or two strokes of a marker on the cover glass, around the tissue and partly over it."""
    ink = np.zeros(image.shape[:2], np.uint8)
    colour = PEN_INKS[rng.integers(len(PEN_INKS))]
    for _ in range(rng.integers(1, 3)):
        around = rng.uniform(0, 2 * np.pi)
        heading = around + np.pi / 2 + rng.normal(0, 0.5)
        line = [0.5 + 0.44 * np.array([np.cos(around), np.sin(around)])]
        for _ in range(14):
            heading += rng.normal(0, 0.25)
            line.append(line[-1] + 0.025 * np.array([np.cos(heading), np.sin(heading)]))
        points = (np.array(line) * [WIDTH_PX0, HEIGHT_PX0]).round().astype(np.int32)
        cv2.polylines(ink, [points], False, 225, int(rng.integers(*PEN_WIDTH_PX0)), cv2.LINE_AA)
    soft = cv2.blur(ink, (9, 9))
    passed = [cv2.LUT(soft, np.linspace(255, c, 256).round().astype(np.uint8)) for c in colour]
    return times(image, cv2.merge(passed))
