"""Blocks of columns: a modality or a named part of one, as rows of numbers for each patient.

Between two modalities there is a further block: the products of their leading principal components,
which stand for interactions. No outcome is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.protocol import CLIP
from survfuse.modalities.scaling import Scalers, fit_scalers
from survfuse.models.estimator import NothingToLearnError

COMPONENTS = 3  # of each modality, whose products with those of another make interactions
LEAST_SPREAD = 1e-6  # columns that vary less are constant up to rounding


@dataclass(frozen=True)
class Block:
    """One block of p standardised columns: what it is made of, and how.

    reads: the modality, or the two whose interactions it holds. names: of its columns. kept, mean,
    std: which of the raw columns (c,) vary, and by how much (p,), between the training patients
    who have the block.
    """

    name: str
    reads: tuple[str, ...]
    names: tuple[str, ...]
    kept: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def standardise(self, raw: np.ndarray, has: np.ndarray) -> np.ndarray:
        """(n, p) of raw columns (n, c): the average training patient is 0, and so is who lacks it.

        Columns of inputs are cut at 10 standard deviations, products of components are not.
        """
        scaled = (raw[:, self.kept] - self.mean) / self.std
        if len(self.reads) == 1:
            scaled = np.clip(scaled, -CLIP, CLIP)
        return np.where(has[:, None] & np.isfinite(scaled), scaled, 0.0)


@dataclass(frozen=True)
class BlockColumns:
    """The blocks of n patients: columns[b] (n, p), 0 where absent; has (n, B) bool."""

    columns: tuple[np.ndarray, ...]
    has: np.ndarray


@dataclass(frozen=True)
class BlockFeatures:
    """How patients become blocks, fitted on the training patients of a fold.

    axes: by modality (columns of its blocks end to end, components), the directions of its leading
    components; divided by their spread, so that a component has variance 1.
    """

    modalities: tuple[str, ...]
    scalers: Scalers
    blocks: tuple[Block, ...]
    axes: Mapping[str, np.ndarray]

    def transform(
        self, inputs: CohortInputs, patient_ids: Sequence[str], config: Config
    ) -> BlockColumns:
        """The blocks of any patients.

        Raises UserInputError where the inputs have other columns than those of the fit.
        """
        available = self.scalers.available(inputs, patient_ids, self.modalities)
        present = dict(zip(self.modalities, available.T, strict=True))
        raw = raw_blocks(inputs, patient_ids, self.modalities, self.scalers, config)
        columns, has, components = list[np.ndarray](), list[np.ndarray](), self.axes
        for block in self.blocks:
            there = np.logical_and.reduce([present[name] for name in block.reads])
            if len(block.reads) == 1:
                values, names = raw.get(block.reads[0], {}).get(block.name, (None, ()))
                if values is None or not self.same_columns(block, names):
                    raise UserInputError(
                        f"the columns of {block.name} are not those that the model was fitted "
                        "on; train it again"
                    )
            else:
                values = self.products(block.reads, columns, components)
            columns.append(block.standardise(values, there))
            has.append(there)
        return BlockColumns(tuple(columns), np.stack(has, axis=1))

    def same_columns(self, block: Block, names: Sequence[str]) -> bool:
        """Whether the raw columns are those that a block was fitted on."""
        kept = np.flatnonzero(block.kept).tolist()
        return len(names) == len(block.kept) and [names[i] for i in kept] == list(block.names)

    def of(self, name: str) -> list[int]:
        """The positions of the blocks of one modality, without interactions."""
        return [place for place, block in enumerate(self.blocks) if block.reads == (name,)]

    def products(
        self,
        pair: Sequence[str],
        columns: Sequence[np.ndarray],
        axes: Mapping[str, np.ndarray],
    ) -> np.ndarray:
        """(n, k * l) products of the components of two modalities, from their blocks."""
        one, other = (
            side_by_side([columns[place] for place in self.of(name)]) @ axes[name] for name in pair
        )
        return (one[:, :, None] * other[:, None, :]).reshape(len(one), -1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        own = {
            f"block.{place}.{key}": np.asarray(getattr(block, key), dtype=np.float64)
            for place, block in enumerate(self.blocks)
            for key in ("kept", "mean", "std")
        }
        axes = {f"axes.{name}": values for name, values in self.axes.items()}
        return {**{f"scaling.{k}": v for k, v in self.scalers.arrays().items()}, **own, **axes}

    def to_json(self) -> dict[str, Any]:
        """What the checkpoint needs besides the arrays."""
        return {
            "modalities": list(self.modalities),
            "scaling": self.scalers.to_json(),
            "blocks": [
                {"name": block.name, "reads": list(block.reads), "columns": list(block.names)}
                for block in self.blocks
            ],
        }

    @staticmethod
    def from_stored(
        arrays: Mapping[str, np.ndarray], described: Mapping[str, Any]
    ) -> BlockFeatures:
        """The inverse of `arrays` and `to_json`."""
        modalities = tuple(described["modalities"])
        scaling = {
            key.removeprefix("scaling."): values
            for key, values in arrays.items()
            if key.startswith("scaling.")
        }
        blocks = tuple(
            Block(
                one["name"],
                tuple(one["reads"]),
                tuple(one["columns"]),
                arrays[f"block.{place}.kept"].astype(bool),
                arrays[f"block.{place}.mean"],
                arrays[f"block.{place}.std"],
            )
            for place, one in enumerate(described["blocks"])
        )
        axes = {name: arrays[f"axes.{name}"] for name in modalities if f"axes.{name}" in arrays}
        scalers = Scalers.from_stored(scaling, described["scaling"], modalities)
        return BlockFeatures(modalities, scalers, blocks, axes)


def fit_blocks(
    inputs: CohortInputs, train_ids: Sequence[str], reads: Sequence[str], config: Config
) -> tuple[BlockFeatures, BlockColumns]:
    """Fit on training patients; returns their blocks too.

    Modalities that none of them has, or that do not vary between them, are left out. Raises
    NothingToLearnError if nothing is left.
    """
    present = [name for name in reads if inputs.available(name, train_ids).any()]
    scalers = fit_scalers(inputs, train_ids, present, config)
    present = [name for name in present if name in scalers.fitted]
    available = dict(zip(present, scalers.available(inputs, train_ids, present).T, strict=True))
    raw = raw_blocks(inputs, train_ids, present, scalers, config)
    blocks = [
        block
        for name in present
        for title, (values, names) in raw[name].items()
        if (block := fit_block(title, (name,), values, names, available[name])) is not None
    ]
    if not blocks:
        raise NothingToLearnError(
            f"none of {', '.join(reads)} gives a column that varies between the training patients"
        )
    present = list(dict.fromkeys(block.reads[0] for block in blocks))
    scalers = Scalers({name: scalers.fitted[name] for name in present})
    columns = [
        block.standardise(raw[block.reads[0]][block.name][0], available[block.reads[0]])
        for block in blocks
    ]
    features = BlockFeatures(tuple(present), scalers, tuple(blocks), {})
    axes = {
        name: leading_axes([columns[place] for place in features.of(name)], available[name])
        for name in present
    }
    for pair in combinations(axes, 2):
        both = available[pair[0]] & available[pair[1]]
        values = features.products(pair, columns, axes)
        title = f"{pair[0]} x {pair[1]}"
        names = [f"{title} {number}" for number in range(values.shape[1])]
        if (block := fit_block(title, pair, values, names, both)) is not None:
            blocks.append(block)
            columns.append(block.standardise(values, both))
    has = [np.logical_and.reduce([available[name] for name in block.reads]) for block in blocks]
    fitted = BlockFeatures(tuple(present), scalers, tuple(blocks), axes)
    return fitted, BlockColumns(tuple(columns), np.stack(has, axis=1))


def raw_blocks(
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    modalities: Sequence[str],
    scalers: Scalers,
    config: Config,
) -> dict[str, dict[str, tuple[np.ndarray, list[str]]]]:
    """By modality and block its raw columns (n, c) and their names."""
    return {
        name: modality(name).blocks(
            inputs.stores.get(name), scalers.fitted[name], patient_ids, config
        )
        for name in modalities
    }


def fit_block(
    name: str, reads: tuple[str, ...], raw: np.ndarray, names: Sequence[str], has: np.ndarray
) -> Block | None:
    """Which columns vary between the patients who have it, and how much; None where none does."""
    own = raw[has]
    if len(own) < 2:
        return None
    filled = np.where(np.isfinite(own), own, np.nan)
    known = np.isfinite(filled).any(axis=0)
    filled[:, ~known] = 0.0
    mean, std = np.nanmean(filled, axis=0), np.nanstd(filled, axis=0)
    kept = std > LEAST_SPREAD
    if not kept.any():
        return None
    named = tuple(names[column] for column in np.flatnonzero(kept).tolist())
    return Block(name, reads, named, kept, mean[kept], std[kept])


def leading_axes(columns: Sequence[np.ndarray], has: np.ndarray) -> np.ndarray:
    """(p, k) directions of the leading principal components of blocks, each block counting alike.

    Components of those who have the blocks have variance 1; the sign is that of the largest weight.
    """
    widths = np.concatenate([np.full(one.shape[1], one.shape[1] ** -0.5) for one in columns])
    x = side_by_side(columns)[has] * widths
    squared, vectors = np.linalg.eigh(x @ x.T if len(x) < x.shape[1] else x.T @ x)
    largest = np.argsort(-squared)[: min(COMPONENTS, x.shape[1], len(x))]
    largest = largest[squared[largest] > squared.max() * 1e-8]
    vectors = vectors[:, largest]
    singular = np.sqrt(squared[largest])
    axes = x.T @ (vectors / singular) if len(x) < x.shape[1] else vectors
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    scaled: np.ndarray = widths[:, None] * axes / (singular / np.sqrt(len(x)))
    return scaled


def side_by_side(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Blocks end to end, (n, sum of p)."""
    return np.concatenate(columns, axis=1) if len(columns) > 1 else columns[0]
