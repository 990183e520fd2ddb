"""From patient inputs to the padded, standardised batches that fusion models read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from survfuse.config_imaging import IMAGES, MADE_FROM
from survfuse.fusion.interface import Batch, Outcome, Shapes
from survfuse.training.inputs import SYNTHETIC, CohortInputs
from survfuse.training.scalers import Scalers
from survfuse.training.volumes import read_voxels, shape_of


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
        return Shapes(self.scalers.slides_dim, widths, clinical, n_bins, self.volume_shape)

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
        tokens = np.zeros((len(rows), longest, self.scalers.slides_dim), dtype=np.float32)
        mask = np.zeros((len(rows), longest), dtype=bool)
        grid = np.zeros((len(rows), longest, 2), dtype=np.int64)
        for position, (row, tiles) in enumerate(zip(rows, kept, strict=True)):
            if not len(tiles):
                continue
            bag, size = self.inputs.bags[self.patient_ids[row]], len(tiles)
            tokens[position, :size] = self.scalers.tiles(bag.rows(tiles))
            grid[position, :size] = bag.grid[tiles]
            mask[position, :size] = True
        return torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(grid)


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
    single = {}
    if "omics" in modalities:
        single["omics"] = scalers.genes(inputs, patient_ids)
    if "clinical" in modalities:
        single["clinical"] = scalers.covariates(inputs, patient_ids)
    images = [modality for modality in modalities if modality in IMAGES]
    stored = [paths for image in images if (paths := inputs.volumes.get(image))]
    return TokenSource(
        tuple(patient_ids),
        tuple(modalities),
        inputs,
        scalers,
        single,
        scalers.available(inputs, patient_ids, modalities),
        shape_of(stored[0]) if stored else None,
        {
            name: np.array([patient in inputs.volumes[name] for patient in patient_ids])
            for image in images
            if synthesised and (name := f"{SYNTHETIC}{image}") in inputs.volumes
        },
    )
