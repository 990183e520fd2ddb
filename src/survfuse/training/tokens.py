"""From patient inputs to the padded, standardised batches that fusion models read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from survfuse.modalities.cohort import SYNTHETIC, CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.protocol import TokenReader, Tokens, TokenShape
from survfuse.modalities.registry import ATTENTION, MODALITIES
from survfuse.modalities.scaling import Scalers
from survfuse.models.networks.interface import Batch, Shapes, SurvivalTargets


@dataclass(frozen=True)
class TokenSource:
    """Standardised tokens of a fixed list of patients, ready to be cut into batches."""

    patient_ids: tuple[str, ...]
    modalities: tuple[str, ...]
    inputs: CohortInputs
    scalers: Scalers
    readers: Mapping[str, TokenReader]  # by modality
    available: np.ndarray  # (n, M) bool
    # What was synthesised, by the modality that it stands in for, and (n,) who has it.
    stand_ins: Mapping[str, tuple[TokenReader, np.ndarray]] = field(default_factory=dict)

    def shapes(self, n_bins: int, patients: int = 256) -> Shapes:
        """What a model must know of these tokens to be built.

        A modality that all training patients lack has the least shape, of which nothing is ever
        read.
        """
        tokens = {name: reader.shape for name, reader in self.readers.items()}
        return Shapes(tokens, n_bins, patients)

    def bag_size(self, row: int) -> int:
        """Number of tokens of the largest bag of a patient."""
        return max(reader.bag_size(row) for reader in self.readers.values())

    def batch(
        self,
        rows: Sequence[int],
        max_tiles: int | None = None,
        seed: Sequence[int] = (),
        hidden: np.ndarray | None = None,
        outcome: SurvivalTargets | None = None,
    ) -> Batch:
        """Padded tokens of some patients.

        With `max_tiles`, larger bags are reduced to that many tiles, drawn without replacement
        from a generator seeded by `seed` and the patient's row, so that neither the composition
        of the batch nor the order of work changes the draw. `hidden` (len(rows), M) marks
        modalities that are treated as absent. What was synthesised has columns of its own after
        the modalities, see `stands_in`.
        """
        tokens: dict[str, torch.Tensor] = {}
        mask: dict[str, torch.Tensor] = {}
        coords: dict[str, torch.Tensor] = {}
        chosen = list(rows)

        def add(name: str, read: Tokens) -> None:
            tokens[name], mask[name] = torch.from_numpy(read.values), torch.from_numpy(read.mask)
            if read.coords is not None:
                coords[name] = torch.from_numpy(read.coords)

        available = self.available[chosen]
        if hidden is not None:
            available = available & ~hidden
        for column, name in enumerate(self.modalities):
            reader = self.readers[name]
            add(name, reader.read(chosen, available[:, column], max_tiles, seed))
        for name, (reader, _) in self.stand_ins.items():
            shown = self.stands_in(name, available[:, : len(self.modalities)], chosen)
            add(SYNTHETIC + name, reader.read(chosen, shown, max_tiles, seed))
            available = np.column_stack([available, shown])
        known = (*self.modalities, *(SYNTHETIC + name for name in self.stand_ins))
        return Batch(tokens, mask, torch.from_numpy(available), known, coords, outcome)

    def synthesised(self) -> np.ndarray:
        """(n,) bool: for whom something synthesised stands in for what is absent."""
        found = np.zeros(len(self.patient_ids), dtype=bool)
        everybody = list(range(len(found)))
        for name in self.stand_ins:
            found |= self.stands_in(name, self.available, everybody)
        return found

    def stands_in(self, name: str, available: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """(B,) bool: whom what was synthesised is shown of, given who is shown what, (B, M).

        Those who are not shown the real one, but what it was made from if the model reads that.
        """
        shown: np.ndarray = self.stand_ins[name][1][list(rows)]
        shown = shown & ~available[:, self.modalities.index(name)]
        if (source := MODALITIES[name].made_from) in self.modalities:
            shown = shown & available[:, self.modalities.index(source)]
        return shown


def read_weights(batch: Batch, name: str, values: torch.Tensor) -> Iterator[np.ndarray]:
    """Attention (B, K) patient by patient, on what was read of each alone; empty where nothing was.

    `name`: of a modality, on whose tokens the weights are, or what `ATTENTION` calls its parts.
    """
    to = ATTENTION.get(name, name)
    read = batch.real(to) if name == to else batch.has(to)[:, None]
    for own, tokens in zip(values, read.expand_as(values), strict=True):
        yield own[tokens].detach().double().cpu().numpy()


def token_source(
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    modalities: Sequence[str],
    scalers: Scalers,
    synthesised: bool = False,
    shapes: Mapping[str, TokenShape] | None = None,
) -> TokenSource:
    """Standardise the tokens of some patients with scalers fitted elsewhere.

    With `synthesised`, what was synthesised stands in for what is absent. `shapes`: those that a
    fitted network reads; default: those of the inputs. Modalities of one file have one shape.
    """
    everybody = inputs.patients.index.tolist()
    present = [name for name in modalities if inputs.available(name, everybody).any()]
    readers: dict[str, TokenReader] = {}
    found: dict[str, TokenShape] = {}
    for name in (*present, *(other for other in modalities if other not in present)):
        source = MODALITIES[name].source
        shape = found.get(source) if shapes is None else shapes[name]
        store, scaling = inputs.stores.get(name), scalers.fitted.get(name)
        readers[name] = modality(name).reader(store, scaling, patient_ids, shape)
        found.setdefault(source, readers[name].shape)
    stand_ins = {}
    for name in modalities if synthesised else ():
        if (made := inputs.synthetic.get(name)) is not None:
            reader = modality(name).reader(made, None, patient_ids, readers[name].shape)
            stand_ins[name] = reader, made.available(patient_ids)
    return TokenSource(
        tuple(patient_ids),
        tuple(modalities),
        inputs,
        scalers,
        readers,
        scalers.available(inputs, patient_ids, modalities),
        stand_ins,
    )
