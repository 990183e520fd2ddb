"""What is fitted on the training patients of a fold before any model is, and applied to all.

No torch here: rows of a leaderboard that are no networks start without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.config import Covariate, OmicsConfig
from survfuse.omics.scaling import OmicsScaler, fit_scaler
from survfuse.training.clinical import ClinicalEncoder, fit_encoder
from survfuse.training.inputs import Bag, CohortInputs

CLIP = 10.0  # standard deviations; hand-crafted slide features have extreme outliers
CHUNK = 8192  # tiles in double precision at a time


@dataclass(frozen=True)
class Scalers:
    """Everything fitted on the training patients of a fold that inputs pass through."""

    slide_mean: np.ndarray | None  # (D,)
    slide_std: np.ndarray | None  # (D,)
    omics: OmicsScaler | None
    clinical: ClinicalEncoder | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint; the clinical encoder is stored as JSON instead."""
        named: dict[str, np.ndarray] = {}
        if self.slide_mean is not None and self.slide_std is not None:
            named |= {"slides.mean": self.slide_mean, "slides.std": self.slide_std}
        if self.omics is not None:
            for field in ("low", "high", "mean", "std"):
                named[f"omics.{field}"] = getattr(self.omics, field).astype(np.float64)
            named["omics.used"] = self.omics.used.astype(np.uint8)
        return named

    @staticmethod
    def from_stored(named: Mapping[str, np.ndarray], encoder: dict[str, Any] | None) -> Scalers:
        """The inverse of `arrays`, with the JSON of the clinical encoder."""
        omics = None
        if "omics.mean" in named:
            parts = {field: named[f"omics.{field}"] for field in ("low", "high", "mean", "std")}
            omics = OmicsScaler(**parts, used=named["omics.used"].astype(bool))
        clinical = ClinicalEncoder.from_json(encoder) if encoder else None
        return Scalers(named.get("slides.mean"), named.get("slides.std"), omics, clinical)

    @property
    def slides_dim(self) -> int:
        """Width of the tile embeddings; 1 where no training patient has slides."""
        return 1 if self.slide_mean is None else len(self.slide_mean)

    def available(
        self, inputs: CohortInputs, patient_ids: Sequence[str], modalities: Sequence[str]
    ) -> np.ndarray:
        """(n, M) bool: who has a modality that training patients had too."""
        fitted = {
            "slides": self.slide_mean is not None,
            "omics": self.omics is not None and inputs.omics is not None,
            "clinical": self.clinical is not None,
        }  # volumes are scaled when they are prepared
        available = np.zeros((len(patient_ids), len(modalities)), dtype=bool)
        for column, modality in enumerate(modalities):
            if fitted.get(modality, True):
                available[:, column] = inputs.available(modality, patient_ids)
        return available

    def tiles(self, features: np.ndarray) -> np.ndarray:
        """Raw embeddings (N, D) -> float32 in training deviations, clipped."""
        assert self.slide_mean is not None
        assert self.slide_std is not None
        mean, scale = self.slide_mean.astype(np.float32), (1 / self.slide_std).astype(np.float32)
        scaled: np.ndarray = (features.astype(np.float32) - mean) * scale
        return np.clip(scaled, -CLIP, CLIP, out=scaled)

    def genes(self, inputs: CohortInputs, patient_ids: Sequence[str]) -> np.ndarray:
        """(n, W) standardised genes, group after group; one zero where there are none."""
        if inputs.omics is None or self.omics is None:
            return np.zeros((len(patient_ids), 1), dtype=np.float32)
        values, _ = inputs.omics.rows(patient_ids)
        packed: np.ndarray = self.omics.transform(values)[:, inputs.omics.group_index]
        return packed

    def covariates(self, inputs: CohortInputs, patient_ids: Sequence[str]) -> np.ndarray:
        """(n, C) float32 encoded covariates, clipped; one zero where there are none."""
        encoded = np.zeros((len(patient_ids), 1))
        if self.clinical is not None:
            encoded = self.clinical.transform(inputs.clinical.loc[list(patient_ids)])
        return np.clip(encoded, -CLIP, CLIP).astype(np.float32)


def fit_scalers(
    inputs: CohortInputs,
    train_ids: Sequence[str],
    modalities: Sequence[str],
    config: OmicsConfig,
    covariates: Mapping[str, Covariate] | None = None,
) -> Scalers:
    """Fit the scalers of the modalities a model reads, on training patients alone."""
    slide_mean = slide_std = omics = clinical = None
    if "slides" in modalities:
        bags = [inputs.bags[patient] for patient in train_ids if patient in inputs.bags]
        if bags:
            slide_mean, slide_std = tile_moments(bags)
    if "omics" in modalities and inputs.omics is not None:
        values, present = inputs.omics.rows(train_ids)
        omics = fit_scaler(values[present], config) if present.any() else None
    if "clinical" in modalities and covariates:
        rows = inputs.clinical.loc[list(train_ids)]
        clinical = fit_encoder(rows, covariates)
        clinical = clinical if clinical.columns else None
    return Scalers(slide_mean, slide_std, omics, clinical)


def tile_moments(bags: Sequence[Bag]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (D,) of tile embeddings; every patient counts alike, whatever N."""
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
    return mean, np.where(dead, np.inf, spread)
