"""From patient inputs to the padded, standardised batches that fusion models read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from survfuse.config import OmicsConfig
from survfuse.fusion.interface import Batch, Shapes
from survfuse.omics.scaling import OmicsScaler, fit_scaler
from survfuse.training.inputs import CohortInputs

CLIP = 10.0  # standard deviations; hand-crafted slide features have extreme outliers


@dataclass(frozen=True)
class Scalers:
    """Everything fitted on the training patients of a fold that inputs pass through."""

    slide_mean: np.ndarray | None  # (D,)
    slide_std: np.ndarray | None  # (D,)
    omics: OmicsScaler | None

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        named: dict[str, np.ndarray] = {}
        if self.slide_mean is not None and self.slide_std is not None:
            named |= {"slides.mean": self.slide_mean, "slides.std": self.slide_std}
        if self.omics is not None:
            for field in ("low", "high", "mean", "std"):
                named[f"omics.{field}"] = getattr(self.omics, field).astype(np.float64)
            named["omics.used"] = self.omics.used.astype(np.uint8)
        return named

    @staticmethod
    def from_arrays(named: dict[str, np.ndarray]) -> Scalers:
        """The inverse of `arrays`."""
        omics = None
        if "omics.mean" in named:
            parts = {field: named[f"omics.{field}"] for field in ("low", "high", "mean", "std")}
            omics = OmicsScaler(**parts, used=named["omics.used"].astype(bool))
        return Scalers(named.get("slides.mean"), named.get("slides.std"), omics)


def fit_scalers(
    inputs: CohortInputs,
    train_ids: Sequence[str],
    modalities: Sequence[str],
    config: OmicsConfig,
) -> Scalers:
    """Fit the scalers of the modalities a model reads, on training patients alone.

    Tile embeddings are standardised per dimension; every patient counts alike, however many
    tiles there are.
    """
    slide_mean = slide_std = omics = None
    if "slides" in modalities:
        bags = [inputs.bags[patient] for patient in train_ids if patient in inputs.bags]
        if bags:
            means = np.stack([bag.features.astype(np.float64).mean(axis=0) for bag in bags])
            squares = np.stack(
                [np.square(bag.features.astype(np.float64)).mean(axis=0) for bag in bags]
            )
            slide_mean = means.mean(axis=0)
            variance = np.maximum(squares.mean(axis=0) - slide_mean**2, 0.0)
            spread = np.sqrt(variance)
            # A channel that varies less than float16 can express is dead; scaling its rounding
            # noise to unit variance would drown the living ones. Infinite spread makes it zero.
            dead = spread <= np.maximum(1e-5, 1e-3 * np.abs(slide_mean))
            slide_std = np.where(dead, np.inf, spread)
    if "omics" in modalities and inputs.omics is not None:
        values, present = inputs.omics.rows(train_ids)
        omics = fit_scaler(values[present], config)
    return Scalers(slide_mean, slide_std, omics)


@dataclass(frozen=True)
class TokenSource:
    """Standardised tokens of a fixed list of patients, ready to be cut into batches."""

    patient_ids: tuple[str, ...]
    modalities: tuple[str, ...]
    inputs: CohortInputs
    scalers: Scalers
    omics: np.ndarray  # (n, W) packed and standardised
    available: np.ndarray  # (n, M) bool

    def shapes(self, n_bins: int) -> Shapes:
        """What a model must know of these tokens to be built.

        A modality that the whole cohort lacks has width 1, of which nothing is ever read.
        """
        widths = self.inputs.omics.group_widths if self.inputs.omics is not None else (1,)
        return Shapes(self.inputs.slides_dim or 1, widths, None, n_bins)

    def bag_size(self, row: int) -> int:
        """Number of tiles of a patient."""
        bag = self.inputs.bags.get(self.patient_ids[row])
        return 0 if bag is None else len(bag.features)

    def batch(
        self, rows: Sequence[int], max_tiles: int | None = None, seed: Sequence[int] = ()
    ) -> Batch:
        """Padded tokens of some patients.

        With `max_tiles`, larger bags are reduced to that many tiles, drawn without replacement
        from a generator seeded by `seed` and the patient's row, so that neither the composition
        of the batch nor the order of work changes the draw.
        """
        tokens: dict[str, torch.Tensor] = {}
        mask: dict[str, torch.Tensor] = {}
        coords: dict[str, torch.Tensor] = {}
        if "slides" in self.modalities:
            tokens["slides"], mask["slides"], coords["slides"] = self.padded_bags(
                rows, max_tiles, seed
            )
        if "omics" in self.modalities:
            tokens["omics"] = torch.from_numpy(self.omics[list(rows)]).unsqueeze(1)
            column = self.modalities.index("omics")
            mask["omics"] = torch.from_numpy(self.available[list(rows)][:, [column]])
        return Batch(
            tokens=tokens,
            mask=mask,
            available=torch.from_numpy(self.available[list(rows)]),
            modalities=self.modalities,
            coords=coords,
        )

    def padded_bags(
        self, rows: Sequence[int], max_tiles: int | None, seed: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tile tokens (B, N, D), their mask (B, N) and grid positions (B, N, 2)."""
        mean, std = self.scalers.slide_mean, self.scalers.slide_std
        chosen: list[tuple[np.ndarray, np.ndarray] | None] = []
        for row in rows:
            bag = self.inputs.bags.get(self.patient_ids[row])
            if bag is None or mean is None or std is None:
                chosen.append(None)
                continue
            kept = np.arange(len(bag.features))
            if max_tiles is not None and len(kept) > max_tiles:
                generator = np.random.default_rng([*seed, row])
                kept = np.sort(generator.choice(kept, max_tiles, replace=False))
            features = np.clip((bag.features[kept].astype(np.float32) - mean) / std, -CLIP, CLIP)
            chosen.append((features.astype(np.float32), bag.grid[kept]))
        longest = max((len(item[0]) for item in chosen if item), default=1)
        tokens = np.zeros((len(rows), longest, self.inputs.slides_dim or 1), dtype=np.float32)
        mask = np.zeros((len(rows), longest), dtype=bool)
        grid = np.zeros((len(rows), longest, 2), dtype=np.int64)
        for position, item in enumerate(chosen):
            if item:
                size = len(item[0])
                tokens[position, :size], grid[position, :size] = item
                mask[position, :size] = True
        return torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(grid)


def token_source(
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    modalities: Sequence[str],
    scalers: Scalers,
) -> TokenSource:
    """Standardise the tokens of some patients with scalers fitted elsewhere."""
    available = np.zeros((len(patient_ids), len(modalities)), dtype=bool)
    packed = np.zeros((len(patient_ids), 1), dtype=np.float32)
    for column, modality in enumerate(modalities):
        if modality == "slides" and scalers.slide_mean is not None:
            available[:, column] = [patient in inputs.bags for patient in patient_ids]
        if modality == "omics" and inputs.omics is not None and scalers.omics is not None:
            values, available[:, column] = inputs.omics.rows(patient_ids)
            packed = scalers.omics.transform(values)[:, inputs.omics.group_index]
    return TokenSource(tuple(patient_ids), tuple(modalities), inputs, scalers, packed, available)
