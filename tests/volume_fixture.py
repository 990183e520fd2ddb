"""A small cohort whose class is visible in covariates and in volumes on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.imaging.store import write_tensor
from survfuse.training.inputs import CohortInputs
from survfuse.training.part import TrainingPart

SHAPE = (16, 18, 16)
AFFINE = np.diag([5.0, 5.0, 5.0, 1.0])


def write_volume(path: Path, brightness: float, rng: np.random.Generator) -> Path:
    """A ball of brain of some brightness in a corner of which there is less."""
    place = np.indices(SHAPE) - np.array(SHAPE).reshape(3, 1, 1, 1) / 2
    mask = (place**2).sum(axis=0) < 49
    data = np.full(SHAPE, -1.0)
    data[mask] = rng.normal(0.3, 0.05, mask.sum())
    data[(place[0] > 0) & mask] += brightness
    write_tensor(path, np.clip(data, -1, 1), mask, AFFINE, "float16")
    return path


def clinic(folder: Path, n: int = 60, seed: int = 0) -> tuple[CohortInputs, np.ndarray]:
    """Inputs and labels (n,): MRI of all, PET of two thirds, synthetic PET of those without.

    Every seventh label is unknown.
    """
    rng = np.random.default_rng(seed)
    ids = [f"B{i:03d}" for i in range(n)]
    label = rng.permutation(np.arange(n) % 2)
    volumes: dict[str, dict[str, Path]] = {"mri": {}, "pet": {}, "synthetic_pet": {}}
    for row, (patient, sick) in enumerate(zip(ids, label, strict=True)):
        for kind, strength in (("mri", 0.15), ("pet", 0.3)):
            if kind == "pet" and row % 3 == 0:
                kind, strength = "synthetic_pet", 0.15
            bright = -strength * sick + rng.normal(0, 0.05)
            volumes[kind][patient] = write_volume(folder / f"{patient}_{kind}", bright, rng)
    clinical = pd.DataFrame(
        {"age": (70 + 4 * label + rng.normal(0, 4, n)).round(1).astype(str)},
        index=pd.Index(ids, name="patient_id"),
    )
    return CohortInputs(clinical, {}, None, volumes), np.where(np.arange(n) % 7 == 3, -1, label)


def part_of(label: np.ndarray, rows: np.ndarray) -> TrainingPart:
    """A training part of these rows, every fourth an inner patient."""
    ids = np.array([f"B{i:03d}" for i in rows])
    role = np.where(np.arange(len(rows)) % 4 == 0, "inner", "train")
    nothing = np.full(len(rows), np.nan)
    return TrainingPart(
        0, 0, ids, role, nothing, np.zeros(len(rows), bool), label=label[rows].astype(np.int64)
    )
