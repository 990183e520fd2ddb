"""What the scanners see of a simulated head: a T1-weighted MRI and an FDG-like PET."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from survfuse.simulation.brain_anatomy import Anatomy, Signs, draw_anatomy
from survfuse.simulation.brain_geometry import (
    Array,
    Grid,
    Position,
    Volume,
    draw_position,
    draw_waves,
    triple,
    waves,
)
from survfuse.simulation.brain_limits import decline_given_mri
from survfuse.simulation.brain_truth import MRI_SIGNS, BrainTruth

T1 = {"csf": 0.18, "grey": 0.55, "white": 0.88, "scalp": 0.80, "skull": 0.12}
UPTAKE = {"csf": 0.05, "grey": 1.00, "white": 0.28, "scalp": 0.14, "skull": 0.10}
T1_NOISE, BIAS = 0.03, 0.12  # of white matter; relative deviation of the receive field
PET_FWHM_MM = 6.0
PET_EXPONENT = 1.25  # uptake of what the camera has blurred: the non-linear part of its law
PET_PER_SIGN = 0.18  # log uptake lost per unit of `pet_decline`, where the pattern is full
PET_NOISE, PET_DOSE_SPREAD = 0.06, 0.12  # in a voxel of grey matter; of the whole scan
PET_SCALE = 12_000.0  # becquerel per millilitre in grey matter
# Scanners differ: scale and noise of the MRI. None of it depends on the patient.
SITE_GAIN, SITE_NOISE = (620.0, 840.0, 480.0, 1100.0), (1.0, 0.8, 1.3, 1.0)


TURN_DEGREES, SHIFT_MM = 4.0, 3.0  # spread of the head's position in the scanner


@dataclass(frozen=True)
class BrainVolumes:
    """One patient's volumes (x, y, z) on one grid, whose `affine` leads to the scanner's mm.

    `mri` is in arbitrary units, `pet` in becquerel per millilitre; the PET is there even where the
    cohort withholds it. `expected_pet` (without noise and dose, given all that is true) and
    `synthesisable_pet` (its mean given the MRI alone, which no synthesis beats in squared error),
    `mask` and `regions` (numbers of brain_anatomy.REGIONS) lie where the MRI does.
    """

    affine: Array
    mri: Volume
    pet: Volume
    expected_pet: Volume
    synthesisable_pet: Volume
    mask: NDArray[np.bool_]
    regions: NDArray[np.uint8]
    mri_position: Position
    pet_position: Position


def draw_volumes(
    truth: BrainTruth, patient: int, grid: Grid | None = None, pet_moved: float = 0.0
) -> BrainVolumes:
    """The volumes of one patient, by position in `truth`; the same whatever else is drawn.

    `pet_moved` is the spread of the PET's position against the MRI's, relative to that of heads in
    the scanner: 0 is a perfectly registered pair, 1 what an unregistered one looks like.
    """
    grid = grid or Grid()
    scan = purpose(truth.seed, patient, "scan")
    signs = Signs(**{name: float(truth.sign(name)[patient]) for name in MRI_SIGNS})
    position = draw_position(scan, TURN_DEGREES, SHIFT_MM)
    moved = draw_position(scan, pet_moved * TURN_DEGREES, pet_moved * SHIFT_MM)
    anatomy = draw_anatomy(purpose(truth.seed, patient, "head"), signs, position, grid)
    site = int(truth.site[patient])
    mri = t1_weighted(scan, anatomy, grid, SITE_GAIN[site], T1_NOISE * SITE_NOISE[site])

    decline = float(truth.pet_decline[patient])
    mean_decline, deviation = decline_given_mri(truth)
    healthy = uptake(anatomy, grid)
    expected = healthy * decline_map(anatomy, decline, 0.0)
    mean_map = decline_map(anatomy, float(mean_decline[patient]), deviation)
    seen, pet_position = expected, position
    if pet_moved:
        pet_position = moved_from(position, moved)
        there = draw_anatomy(purpose(truth.seed, patient, "head"), signs, pet_position, grid)
        seen = uptake(there, grid) * decline_map(there, decline, 0.0)
    return BrainVolumes(
        affine=grid.affine(),
        mri=mri,
        pet=photographed(scan, seen, grid),
        expected_pet=(PET_SCALE * expected).astype(np.float32),
        synthesisable_pet=(PET_SCALE * healthy * mean_map).astype(np.float32),
        mask=anatomy.brain_mask(),
        regions=anatomy.region_labels(),
        mri_position=position,
        pet_position=pet_position,
    )


def purpose(seed: int, patient: int, name: str) -> np.random.Generator:
    """A random stream for each patient and purpose, so that volumes may be drawn in any order."""
    return np.random.default_rng([seed, crc32(name.encode()), patient])


def moved_from(position: Position, by: Position) -> Position:
    """A position, with its turns and its shift changed by those of another."""
    turn = np.add(position.turn_degrees, by.turn_degrees)
    return Position(triple(turn), triple(np.add(position.shift_mm, by.shift_mm)))


def t1_weighted(
    rng: np.random.Generator, anatomy: Anatomy, grid: Grid, gain: float, noise: float
) -> Volume:
    """The MRI: tissue contrast times a smooth receive field, with Rician noise, rounded."""
    signal = np.sum([T1[name] * values for name, values in anatomy.tissue.items()], axis=0)
    field = waves(draw_waves(rng, (1, 4), (250.0, 500.0)), grid.points_mm())[0]
    signal = signal * np.exp(BIAS * field)
    real, imaginary = rng.normal(0, noise, (2, *grid.shape))
    return np.round(gain * np.hypot(signal + real, imaginary)).astype(np.float32)


def uptake(anatomy: Anatomy, grid: Grid) -> Array:
    """PET of a brain without disease, about 1 in grey matter: the known law of the anatomy."""
    emitted = np.sum([UPTAKE[name] * values for name, values in anatomy.tissue.items()], axis=0)
    blurred = gaussian_filter(emitted, PET_FWHM_MM / 2.355 / grid.voxel_mm, mode="constant")
    return np.asarray(blurred**PET_EXPONENT, dtype=float)


def decline_map(anatomy: Anatomy, decline: float, deviation: float) -> Array:
    """The factor by which disease changes uptake: the mean over a normal `decline`, in closed form.

    E[exp(-k w X)] = exp(-k w mean + (k w deviation)^2 / 2), with the weight w of the pattern.
    """
    weight = PET_PER_SIGN * anatomy.pattern.astype(float)
    return np.asarray(np.exp(-weight * decline + (weight * deviation) ** 2 / 2))


def photographed(rng: np.random.Generator, clean: Array, grid: Grid) -> Volume:
    """The PET as measured: dose, and counting noise as blurred as the camera is; never negative."""
    dose = np.exp(rng.normal(0, PET_DOSE_SPREAD))
    width = PET_FWHM_MM / 2.355 / grid.voxel_mm
    noise = gaussian_filter(rng.standard_normal(grid.shape), width)
    noise /= noise.std()
    measured = dose * (clean + PET_NOISE * np.sqrt(np.maximum(clean, 0)) * noise)
    return (PET_SCALE * np.clip(measured, 0, None)).astype(np.float32)
