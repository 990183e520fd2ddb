"""Standardising tile embeddings, fitted on the training patients of one fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from survfuse.modalities.conformity import require_width
from survfuse.modalities.protocol import CLIP
from survfuse.modalities.slides.bags import Bag

CHUNK = 8192  # tiles in double precision at a time


@dataclass(frozen=True)
class TileScaler:
    """Mean and standard deviation of every dimension of the embeddings, (D,) each."""

    mean: np.ndarray
    std: np.ndarray

    @property
    def width(self) -> int:
        """Width D of the embeddings."""
        return len(self.mean)

    def transform(self, features: np.ndarray) -> np.ndarray:
        """Raw embeddings (N, D) -> float32 in training deviations, clipped.

        Raises UserInputError where they are of another width, as those of another encoder are.
        """
        require_width("numbers in the embedding of a tile", features.shape[1], self.width)
        mean, scale = self.mean.astype(np.float32), (1 / self.std).astype(np.float32)
        scaled: np.ndarray = (features.astype(np.float32) - mean) * scale
        return np.clip(scaled, -CLIP, CLIP, out=scaled)

    def mean_tile(self, bag: Bag | None) -> np.ndarray:
        """Mean (D,) of a patient's standardised embeddings; zeros without slides."""
        mean: np.ndarray = self.moments(bag)[0]
        return mean

    def moments(self, bag: Bag | None) -> np.ndarray:
        """Mean and standard deviation (2, D) of standardised embeddings; zeros without slides."""
        total = np.zeros((2, self.width))
        if bag is None:
            return total
        for slide in bag.slides:
            for start in range(0, len(slide), CHUNK):
                tiles = self.transform(slide[start : start + CHUNK])
                total[0] += tiles.sum(axis=0, dtype=np.float64)
                total[1] += np.square(tiles).sum(axis=0, dtype=np.float64)
        mean, square = total / len(bag)
        return np.stack([mean, np.sqrt(np.maximum(square - mean**2, 0.0))])

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        return {"mean": self.mean, "std": self.std}

    def to_json(self) -> None:
        """Arrays are all there is."""

    @staticmethod
    def from_arrays(named: Mapping[str, np.ndarray]) -> TileScaler:
        """The inverse of `arrays`."""
        return TileScaler(named["mean"], named["std"])


def fit_tiles(bags: Sequence[Bag]) -> TileScaler:
    """Mean and deviation of tile embeddings; every patient counts alike, whatever N."""
    totals = np.zeros((2, bags[0].width))
    for bag in bags:
        sums = np.zeros_like(totals)
        for slide in bag.slides:
            for start in range(0, len(slide), CHUNK):
                values = slide[start : start + CHUNK].astype(np.float64)
                sums += values.sum(axis=0), np.square(values).sum(axis=0)
        totals += sums / len(bag)
    mean, square = totals / len(bags)
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    # A channel that varies less than float16 can express is dead; scaling its rounding noise to
    # unit variance would drown the living ones. Infinite spread makes it zero.
    dead = spread <= np.maximum(1e-5, 1e-3 * np.abs(mean))
    return TileScaler(mean, np.where(dead, np.inf, spread))
