"""Prepared brain volumes as training reads them: voxels, and regional measures."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from survfuse.core.errors import UserInputError
from survfuse.modalities.volumes.store import read_tensor

BLOCKS = (3, 4, 3)  # regions of the grid that are measured, along the axes R, A, S
DARK = -0.5  # in MRI scaled to -1..1, cerebrospinal fluid lies below

Paths = Mapping[str, Path]  # tensor by patient


def shape_of(paths: Paths) -> tuple[int, int, int]:
    """Voxels (I, J, K) of any of the volumes, which are all on one grid."""
    i, j, k = read_tensor(next(iter(paths.values()))).volume.shape
    return i, j, k


def read_voxels(path: Path, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """All voxels of a volume, (V,) float32 in C order.

    Raises UserInputError where it is on another grid than `shape`.
    """
    volume = read_tensor(path).volume
    if volume.shape != shape:
        found, expected = ("x".join(map(str, sides)) for sides in (volume.shape, shape))
        raise UserInputError(
            f"{path}: has {found} voxels, other volumes {expected}; prepare all with the same "
            "imaging.shape"
        )
    voxels: NDArray[np.float32] = volume.astype(np.float32).reshape(-1)
    return voxels


def measures(path: Path) -> NDArray[np.float64]:
    """Measures (2 B + 1,) of a volume: the brain in ml; per block its mean, and its dark share.

    A block is a box of the grid, B = 36 of them; only brain counts. The mean of PET is uptake, the
    dark share of MRI is fluid, that is, tissue lost. NaN where a block holds no brain.
    """
    prepared = read_tensor(path)
    volume, mask = prepared.volume.astype(np.float64), prepared.mask
    voxel_ml = abs(float(np.linalg.det(prepared.affine[:3, :3]))) / 1000
    found = [mask.sum() * voxel_ml]
    parts = (
        np.array_split(np.arange(side), n) for side, n in zip(volume.shape, BLOCKS, strict=True)
    )
    blocks = [np.ix_(*block) for block in itertools.product(*parts)]
    inside = [volume[block][mask[block]] for block in blocks]
    found += [values.mean() if len(values) else np.nan for values in inside]
    found += [(values < DARK).mean() if len(values) else np.nan for values in inside]
    return np.array(found)


def measure_names(image: str) -> list[str]:
    """The names of `measures`, in order."""
    blocks = ["-".join(map(str, place)) for place in itertools.product(*map(range, BLOCKS))]
    return [
        f"{image} brain volume",
        *(f"{image} mean of block {block}" for block in blocks),
        *(f"{image} dark share of block {block}" for block in blocks),
    ]
