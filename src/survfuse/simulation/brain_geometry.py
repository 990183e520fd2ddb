"""Grids, positions in the scanner, ellipsoids and smooth random waves, all in millimetres.

Axes are those of NIfTI: x to the right, y forward, z up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Volume = NDArray[np.float32]
Triple = tuple[float, float, float]

LARGEST_TURN_DEGREES, LARGEST_SHIFT_MM = 10.0, 7.0


@dataclass(frozen=True)
class Grid:
    """Voxels of a volume: their number along x, y, z, and their side."""

    shape: tuple[int, int, int] = (32, 40, 32)
    voxel_mm: float = 5.0

    def affine(self) -> Array:
        """Voxel to millimetres (4, 4): RAS+, with 0 in the middle of the grid."""
        affine = np.diag([self.voxel_mm] * 3 + [1.0])
        affine[:3, 3] = -self.voxel_mm * (np.array(self.shape) - 1) / 2
        return affine

    def points_mm(self) -> Volume:
        """Millimetres of every voxel's centre, (3, *shape)."""
        axes = [self.voxel_mm * (np.arange(size) - (size - 1) / 2) for size in self.shape]
        return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


@dataclass(frozen=True)
class Position:
    """How a head lies in the scanner: turns about x, y, z in degrees, then a shift in mm."""

    turn_degrees: Triple = (0.0, 0.0, 0.0)
    shift_mm: Triple = (0.0, 0.0, 0.0)

    def matrix(self) -> Array:
        """From coordinates of the head to those of the scanner, (4, 4)."""
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_euler("xyz", self.turn_degrees, degrees=True).as_matrix()
        matrix[:3, 3] = self.shift_mm
        return matrix

    def to_head(self, points_mm: Volume) -> Volume:
        """Coordinates of the head, (3, ...), of points of the scanner."""
        back = np.linalg.inv(self.matrix()).astype(np.float32)
        return np.tensordot(back[:3, :3], points_mm, 1) + as_column(back[:3, 3], points_mm.ndim)


def draw_position(rng: np.random.Generator, turn_degrees: float, shift_mm: float) -> Position:
    """A random position with these spreads, within bounds that keep the head on the grid."""
    turn, shift = rng.standard_normal((2, 3)) * [[turn_degrees], [shift_mm]]
    turn = np.clip(turn, -LARGEST_TURN_DEGREES, LARGEST_TURN_DEGREES)
    shift = np.clip(shift, -LARGEST_SHIFT_MM, LARGEST_SHIFT_MM)
    return Position(triple(turn), triple(shift))


def triple(values: Array) -> Triple:
    """Three numbers as plain floats."""
    x, y, z = values.tolist()
    return x, y, z


def as_column(values: Array | Volume | Triple, ndim: int) -> Volume:
    """Three numbers, shaped to combine with points (3, ...) of `ndim` axes."""
    return np.asarray(values, dtype=np.float32).reshape(3, *[1] * (ndim - 1))


def draw_waves(
    rng: np.random.Generator, count: tuple[int, int], length_mm: tuple[float, float]
) -> tuple[Array, Array]:
    """Wave vectors (fields, waves, 3) in radians per mm and phases (fields, waves), random."""
    direction = rng.standard_normal((*count, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    length = rng.uniform(*length_mm, (*count, 1))
    return 2 * np.pi * direction / length, rng.uniform(0, 2 * np.pi, count)


def waves(drawn: tuple[Array, Array], points_mm: Volume) -> Volume:
    """Sums of plane waves at the points (3, ...): (fields, ...), of mean 0 and deviation 1."""
    vectors, phases = drawn
    fields = np.zeros((len(vectors), *points_mm.shape[1:]), np.float32)
    for field, of_vectors, of_phases in zip(fields, vectors, phases, strict=True):
        for vector, phase in zip(of_vectors.astype(np.float32), of_phases, strict=True):
            field += np.sin(np.tensordot(vector, points_mm, 1) + np.float32(phase))
    return fields * np.float32(np.sqrt(2 / vectors.shape[1]))


def depth(points_mm: Volume, centre_mm: Triple, radii_mm: Triple) -> Volume:
    """About how far inside an ellipsoid the points (3, ...) lie, in mm; negative outside.

    To first order: the level of the quadratic form over the length of its gradient.
    """
    radii = as_column(radii_mm, points_mm.ndim)
    away = (points_mm - as_column(centre_mm, points_mm.ndim)) / radii
    radius = np.sqrt((away**2).sum(axis=0))
    slope = np.sqrt(((away / radii) ** 2).sum(axis=0))
    found = (1 - radius) * radius / np.maximum(slope, 1e-9)
    return np.where(radius > 0.05, found, np.float32(min(radii_mm))).astype(np.float32)


def share(depth_mm: Volume, voxel_mm: float) -> Volume:
    """The share of a voxel that lies inside, where its centre lies this deep."""
    return np.clip(depth_mm / np.float32(voxel_mm) + np.float32(0.5), 0, 1)
