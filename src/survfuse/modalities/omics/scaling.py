"""Clipping and standardising genes, fitted on the training patients of one fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from survfuse.config.omics import OmicsConfig
from survfuse.modalities.conformity import require_width

MOMENTS = ("low", "high", "mean", "std")


@dataclass(frozen=True)
class OmicsScaler:
    """Per-column clipping bounds, mean and standard deviation, and which columns are used.

    A dropped column is zero for everybody. That keeps the width of the gene groups, and with it
    the shape of a model, the same in all folds.
    """

    low: np.ndarray  # (g,)
    high: np.ndarray  # (g,)
    mean: np.ndarray  # (g,)
    std: np.ndarray  # (g,)
    used: np.ndarray  # (g,) bool

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Standardise raw values (n, g); missing ones become the training mean, which is 0.

        Raises UserInputError where the genes are of another number.
        """
        require_width("gene columns", values.shape[1], len(self.mean))
        clipped = np.clip(values, self.low, self.high)
        scaled = (clipped - self.mean) / self.std
        return np.where(self.used & np.isfinite(scaled), scaled, 0.0).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        bounds = {name: getattr(self, name).astype(np.float64) for name in MOMENTS}
        return {**bounds, "used": self.used.astype(np.uint8)}

    def to_json(self) -> None:
        """Arrays are all there is."""

    @staticmethod
    def from_arrays(named: Mapping[str, np.ndarray]) -> OmicsScaler:
        """The inverse of `arrays`."""
        moments = {name: named[name] for name in MOMENTS}
        return OmicsScaler(**moments, used=named["used"].astype(bool))


def fit_scaler(values: np.ndarray, config: OmicsConfig) -> OmicsScaler:
    """Fit on raw training values (n, g) with NaN for missing.

    Expression tables hold extreme outliers, so each column is first clipped at its
    `winsorise` and 1 - `winsorise` quantiles. Columns that are missing too often or hardly vary
    are dropped.
    """
    if len(values) == 0:
        raise ValueError("no training patient has gene measurements")
    measured = np.isfinite(values)
    empty = ~measured.any(axis=0)
    filled = np.where(
        empty, 0.0, values.astype(np.float64)
    )  # avoids all-NaN warnings; such columns are dropped
    low = np.nanquantile(filled, config.winsorise, axis=0)
    high = np.nanquantile(filled, 1 - config.winsorise, axis=0)
    clipped = np.clip(filled, low, high)
    mean, std = np.nanmean(clipped, axis=0), np.nanstd(clipped, axis=0)
    missing = 1 - measured.mean(axis=0)
    used = ~empty & (missing <= config.max_missing) & (std**2 >= config.min_variance)
    return OmicsScaler(low, high, mean, np.where(used, std, 1.0), used)
