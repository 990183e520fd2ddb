"""The materials slides are drawn with: noise fields, collagen, cytoplasm and a bank of nuclei.

Everything is drawn as two stain concentrations, haematoxylin and eosin, in uint8 steps; colour
comes at the very end (slide.py). The materials are the same for every slide, so each process
makes them once; what differs between slides is how they are laid out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

FIBRE_PX0 = 1024  # side of the repeating collagen texture
ANGLES = 12  # orientations of each nucleus in the bank, over half a turn
SHAPES = 10  # different nuclei of one kind
MATERIAL_SEED = 20240229


@dataclass(frozen=True)
class NucleusKind:
    """How nuclei of one kind look: lengths in level-0 pixels, haematoxylin in steps of 0..255."""

    length_px0: float
    width_px0: float
    variation: float  # relative spread of the size from one nucleus to the next
    irregularity: float  # amplitude of the waves on the outline, relative to the radius
    haematoxylin: float
    chromatin: float  # relative contrast of the chromatin texture
    nucleoli: int


KINDS = {
    "low": NucleusKind(15, 10, 0.10, 0.04, 118, 0.22, 0),
    "high": NucleusKind(22, 16, 0.22, 0.07, 150, 0.20, 2),
    "stroma": NucleusKind(21, 5, 0.20, 0.05, 165, 0.10, 0),
    "lymphocyte": NucleusKind(12, 11, 0.08, 0.03, 205, 0.15, 0),
}


@dataclass(frozen=True)
class Materials:
    """Textures (uint8) and, per kind, nuclei[angle][shape] as square uint8 haematoxylin stamps."""

    fibres: NDArray[np.uint8]
    grain: NDArray[np.uint8]
    nuclei: dict[str, list[list[NDArray[np.uint8]]]]


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 1
) -> NDArray[np.float32]:
    """A smooth random field of mean 0 and deviation 1, with features about `cell` pixels wide.

    Each further octave adds features half as wide and half as strong.
    """
    field = np.zeros(shape, np.float32)
    for octave in range(octaves):
        side = max(cell / 2**octave, 1.0)
        coarse = (int(shape[0] / side) + 3, int(shape[1] / side) + 3)
        grid = rng.standard_normal(coarse, dtype=np.float32)
        fine = cv2.resize(grid, None, fx=side, fy=side, interpolation=cv2.INTER_CUBIC)
        # The border of an enlarged grid is flat; start one cell inside.
        inset = int(side)
        field += fine[inset : inset + shape[0], inset : inset + shape[1]] / 2**octave
    return (field - field.mean()) / field.std()


def to_steps(field: NDArray[np.float32], mean: float, deviation: float) -> NDArray[np.uint8]:
    """A field of any scale as uint8 with this mean and deviation, clipped at the ends."""
    scaled = (field - field.mean()) * (deviation / field.std()) + mean
    return np.clip(scaled, 0, 255).astype(np.uint8)


@cache
def materials() -> Materials:
    """The materials; made on first use, the same in every process."""
    rng = np.random.default_rng(MATERIAL_SEED)
    return Materials(
        fibres=collagen(rng),
        grain=cytoplasm(rng),
        nuclei={
            name: [[nucleus(rng, kind, angle) for _ in range(SHAPES)] for angle in range(ANGLES)]
            for name, kind in KINDS.items()
        },
    )


def collagen(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A repeating texture of fibres along x: white noise smeared along, at two thicknesses."""
    fibres = np.zeros((FIBRE_PX0, FIBRE_PX0), np.float32)
    for along, across, weight in ((40.0, 4.0, 1.0), (14.0, 1.3, 0.8)):
        noise = rng.standard_normal((FIBRE_PX0, FIBRE_PX0), dtype=np.float32)
        tiled = np.pad(noise, 256, mode="wrap")
        smeared = cv2.GaussianBlur(tiled, (0, 0), sigmaX=along, sigmaY=across)[256:-256, 256:-256]
        fibres += weight * smeared / smeared.std()
    return to_steps(fibres, 128, 48)


def cytoplasm(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A repeating grainy texture."""
    shape = (FIBRE_PX0, FIBRE_PX0)
    noise = np.pad(rng.standard_normal(shape, dtype=np.float32), 64, mode="wrap")
    fine = cv2.GaussianBlur(noise, (0, 0), 1.0)[64:-64, 64:-64]
    coarse = cv2.GaussianBlur(noise, (0, 0), 6.0)[64:-64, 64:-64]
    return to_steps(fine / fine.std() + coarse / coarse.std(), 128, 32)


def nucleus(rng: np.random.Generator, kind: NucleusKind, angle: int) -> NDArray[np.uint8]:
    """One nucleus: a wavy ellipse with a soft edge, chromatin texture, a rim and nucleoli."""
    size = np.exp(kind.variation * rng.standard_normal())
    half_length, half_width = kind.length_px0 * size / 2, kind.width_px0 * size / 2
    reach = int(np.ceil(half_length * (1 + 2 * kind.irregularity))) + 3
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    turn = np.pi * angle / ANGLES
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    theta = np.arctan2(across / half_width, along / half_length)
    outline = np.ones_like(theta)
    for wave in (2, 3, 4):
        phase = rng.uniform(0, 2 * np.pi)
        outline += kind.irregularity * rng.normal(0, 0.6) * np.cos(wave * theta + phase)
    radius = np.hypot(along / half_length, across / half_width) / outline
    inside = np.clip((1 - radius) * half_width / 1.2 + 0.5, 0, 1)

    chromatin = 1 + kind.chromatin * smooth_noise(rng, theta.shape, 3.0)
    rim = 1 + 0.5 * kind.chromatin * np.exp(-(((radius - 0.85) / 0.15) ** 2))
    stain = kind.haematoxylin * rng.normal(1, 0.10) * chromatin * rim
    for _ in range(rng.integers(0, kind.nucleoli + 1)):
        at, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
        dx = along - out * half_length * np.cos(at)
        dy = across - out * half_width * np.sin(at)
        stain += 60 * np.exp(-(dx**2 + dy**2) / 3.0)
    return np.clip(stain * inside, 0, 255).astype(np.uint8)
