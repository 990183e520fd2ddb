"""From patient inputs to the padded, standardised batches that fusion models read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from survfuse.config import Covariate, OmicsConfig
from survfuse.config_imaging import IMAGES, MADE_FROM
from survfuse.fusion.interface import Batch, Outcome, Shapes
from survfuse.omics.scaling import OmicsScaler, fit_scaler
from survfuse.training.clinical import ClinicalEncoder, fit_encoder
from survfuse.training.inputs import SYNTHETIC, Bag, CohortInputs
from survfuse.training.volumes import read_voxels, shape_of

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
    def from_stored(named: dict[str, np.ndarray], encoder: dict[str, Any] | None) -> Scalers:
        """The inverse of `arrays`, with the JSON of the clinical encoder."""
        omics = None
        if "omics.mean" in named:
            parts = {field: named[f"omics.{field}"] for field in ("low", "high", "mean", "std")}
            omics = OmicsScaler(**parts, used=named["omics.used"].astype(bool))
        clinical = ClinicalEncoder.from_json(encoder) if encoder else None
        return Scalers(named.get("slides.mean"), named.get("slides.std"), omics, clinical)


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


@dataclass(frozen=True)
class TokenSource:
    """Standardised tokens of a fixed list of patients, ready to be cut into batches."""

    patient_ids: tuple[str, ...]
    modalities: tuple[str, ...]
    inputs: CohortInputs
    scalers: Scalers
    single: dict[str, np.ndarray]  # omics (n, W) packed, clinical (n, C); standardised
    available: np.ndarray  # (n, M) bool
    volume_shape: tuple[int, int, int] | None = None
    stand_ins: Mapping[str, np.ndarray] = field(default_factory=dict)  # (n,) who has a synthetic

    def shapes(self, n_bins: int) -> Shapes:
        """What a model must know of these tokens to be built.

        A modality that all training patients lack has width 1, of which nothing is ever read.
        """
        known = self.inputs.omics if self.scalers.omics is not None else None
        widths = known.group_widths if known is not None else (1,)
        clinical = self.single["clinical"].shape[1] if "clinical" in self.single else None
        return Shapes(self.slides_dim, widths, clinical, n_bins, self.volume_shape)

    @property
    def slides_dim(self) -> int:
        """Width of the tile embeddings."""
        return 1 if self.scalers.slide_mean is None else len(self.scalers.slide_mean)

    def bag_size(self, row: int) -> int:
        """Number of tiles of a patient."""
        bag = self.inputs.bags.get(self.patient_ids[row])
        return 0 if bag is None else len(bag)

    def batch(
        self,
        rows: Sequence[int],
        max_tiles: int | None = None,
        seed: Sequence[int] = (),
        hidden: np.ndarray | None = None,
        outcome: Outcome | None = None,
    ) -> Batch:
        """Padded tokens of some patients.

        With `max_tiles`, larger bags are reduced to that many tiles, drawn without replacement
        from a generator seeded by `seed` and the patient's row, so that neither the composition
        of the batch nor the order of work changes the draw. `hidden` (len(rows), M) marks
        modalities that are treated as absent. Synthesised volumes have columns of their own after
        the modalities, see `stands_in`.
        """
        tokens: dict[str, torch.Tensor] = {}
        mask: dict[str, torch.Tensor] = {}
        coords: dict[str, torch.Tensor] = {}
        chosen = list(rows)
        available = self.available[chosen]
        if hidden is not None:
            available = available & ~hidden
        for column, modality in enumerate(self.modalities):
            shown = available[:, column]
            if modality == "slides":
                tokens[modality], mask[modality], coords[modality] = self.padded_bags(
                    chosen, shown, max_tiles, seed
                )
            elif modality in IMAGES:
                tokens[modality] = self.voxels(modality, chosen, shown)
                mask[modality] = torch.from_numpy(shown).unsqueeze(1)
            else:
                tokens[modality] = torch.from_numpy(self.single[modality][chosen]).unsqueeze(1)
                mask[modality] = torch.from_numpy(shown).unsqueeze(1)
        for name in self.stand_ins:
            shown = self.stands_in(name, available[:, : len(self.modalities)], chosen)
            tokens[name] = self.voxels(name, chosen, shown)
            mask[name] = torch.from_numpy(shown).unsqueeze(1)
            available = np.column_stack([available, shown])
        known = (*self.modalities, *self.stand_ins)
        return Batch(tokens, mask, torch.from_numpy(available), known, coords, outcome)

    def voxels(self, modality: str, rows: Sequence[int], shown: np.ndarray) -> torch.Tensor:
        """Volumes (B, 1, V), zero where they are not shown; a single zero where nobody has any."""
        if self.volume_shape is None:
            return torch.zeros(len(rows), 1, 1)
        paths = self.inputs.volumes[modality]
        values = torch.zeros(len(rows), 1, math.prod(self.volume_shape))
        for position in np.flatnonzero(shown).tolist():
            path = paths[self.patient_ids[rows[position]]]
            values[position, 0] = torch.from_numpy(read_voxels(path, self.volume_shape))
        return values

    def synthesised(self) -> np.ndarray:
        """(n,) bool: for whom a synthesised volume stands in for an absent one."""
        found = np.zeros(len(self.patient_ids), dtype=bool)
        everybody = list(range(len(found)))
        for name in self.stand_ins:
            found |= self.stands_in(name, self.available, everybody)
        return found

    def stands_in(self, name: str, available: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """(B,) bool: whom a synthetic volume is shown of, given who is shown what, (B, M).

        Those who are not shown the real one, but the one it was made from if the model reads that.
        """
        image = name.removeprefix(SYNTHETIC)
        shown: np.ndarray = self.stand_ins[name][list(rows)]
        shown = shown & ~available[:, self.modalities.index(image)]
        if (source := MADE_FROM[image]) in self.modalities:
            shown = shown & available[:, self.modalities.index(source)]
        return shown

    def padded_bags(
        self, rows: Sequence[int], shown: np.ndarray, max_tiles: int | None, seed: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tile tokens (B, N, D), their mask (B, N) and grid positions (B, N, 2)."""
        kept: list[np.ndarray] = []
        for row, visible in zip(rows, shown, strict=True):
            tiles = np.arange(self.bag_size(row) if visible else 0)
            if max_tiles is not None and len(tiles) > max_tiles:
                generator = np.random.default_rng([*seed, row])
                tiles = np.sort(generator.choice(tiles, max_tiles, replace=False))
            kept.append(tiles)
        longest = max(1, *(len(tiles) for tiles in kept))
        tokens = np.zeros((len(rows), longest, self.slides_dim), dtype=np.float32)
        mask = np.zeros((len(rows), longest), dtype=bool)
        grid = np.zeros((len(rows), longest, 2), dtype=np.int64)
        for position, (row, tiles) in enumerate(zip(rows, kept, strict=True)):
            if not len(tiles):
                continue
            bag, size = self.inputs.bags[self.patient_ids[row]], len(tiles)
            tokens[position, :size] = self.standardised(bag.rows(tiles))
            grid[position, :size] = bag.grid[tiles]
            mask[position, :size] = True
        return torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(grid)

    def standardised(self, features: np.ndarray) -> np.ndarray:
        """Raw embeddings (N, D) -> float32 in training deviations, clipped."""
        mean, std = self.scalers.slide_mean, self.scalers.slide_std
        assert mean is not None
        assert std is not None
        scaled = (features.astype(np.float32) - mean.astype(np.float32)) * (1 / std).astype(
            np.float32
        )
        return np.clip(scaled, -CLIP, CLIP, out=scaled)


def token_source(
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    modalities: Sequence[str],
    scalers: Scalers,
    synthesised: bool = False,
) -> TokenSource:
    """Standardise the tokens of some patients with scalers fitted elsewhere.

    With `synthesised`, volumes that were synthesised stand in for absent ones.
    """
    fitted = {
        "slides": scalers.slide_mean is not None,
        "omics": scalers.omics is not None and inputs.omics is not None,
        "clinical": scalers.clinical is not None,
        **dict.fromkeys(IMAGES, True),  # volumes are scaled when they are prepared
    }
    available = np.zeros((len(patient_ids), len(modalities)), dtype=bool)
    for column, modality in enumerate(modalities):
        if fitted[modality]:
            available[:, column] = inputs.available(modality, patient_ids)
    single = {}
    if "omics" in modalities:
        single["omics"] = packed_genes(inputs, patient_ids, scalers.omics)
    if "clinical" in modalities:
        encoded = np.zeros((len(patient_ids), 1))
        if scalers.clinical is not None:
            encoded = scalers.clinical.transform(inputs.clinical.loc[list(patient_ids)])
        single["clinical"] = np.clip(encoded, -CLIP, CLIP).astype(np.float32)
    images = [modality for modality in modalities if modality in IMAGES]
    stored = [paths for image in images if (paths := inputs.volumes.get(image))]
    return TokenSource(
        tuple(patient_ids),
        tuple(modalities),
        inputs,
        scalers,
        single,
        available,
        shape_of(stored[0]) if stored else None,
        {
            name: np.array([patient in inputs.volumes[name] for patient in patient_ids])
            for image in images
            if synthesised and (name := f"{SYNTHETIC}{image}") in inputs.volumes
        },
    )


def packed_genes(
    inputs: CohortInputs, patient_ids: Sequence[str], scaler: OmicsScaler | None
) -> np.ndarray:
    """(n, W) standardised genes, group after group; one zero where the cohort has none."""
    if inputs.omics is None or scaler is None:
        return np.zeros((len(patient_ids), 1), dtype=np.float32)
    values, _ = inputs.omics.rows(patient_ids)
    packed: np.ndarray = scaler.transform(values)[:, inputs.omics.group_index]
    return packed
