"""One row of numbers per patient, for models that read no bags of tiles and no volumes.

Covariates, genes, the mean tile, and regional measures of volumes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.config import Covariate, OmicsConfig
from survfuse.config_imaging import IMAGES
from survfuse.errors import UserInputError
from survfuse.training.inputs import Bag, CohortInputs
from survfuse.training.scalers import CHUNK, CLIP, Scalers, fit_scalers
from survfuse.training.volumes import measure_names, measures

LEAST_SPREAD = 1e-6  # columns that vary less are constant up to rounding


@dataclass(frozen=True)
class PooledFeatures:
    """How patients become rows of a matrix, fitted on the training patients of a fold.

    Everything passes the scalers that the networks use; then the c columns that result are
    standardised over patients, because averages over tiles vary less than tiles, and the constant
    ones are dropped. A modality that a patient lacks is 0 in all its columns, the training mean,
    and no column tells that it was missing.
    """

    modalities: tuple[str, ...]
    scalers: Scalers
    names: tuple[str, ...]  # of the p columns that are kept
    kept: np.ndarray  # (c,) bool
    mean: np.ndarray  # (p,)
    std: np.ndarray  # (p,)

    def transform(self, inputs: CohortInputs, patient_ids: Sequence[str]) -> np.ndarray:
        """The matrix (n, p) of any patients, float64 and finite, within 10 standard deviations.

        Raises UserInputError where the inputs have other columns than those of the fit.
        """
        raw, names = raw_columns(inputs, patient_ids, self.modalities, self.scalers)
        same = len(names) == len(self.kept)
        if not same or [names[column] for column in np.flatnonzero(self.kept)] != list(self.names):
            raise UserInputError(
                "the genes or covariates are not those that the model was fitted on; train it again"
            )
        scaled = np.clip((raw[:, self.kept] - self.mean) / self.std, -CLIP, CLIP)
        return np.where(np.isnan(scaled), 0.0, scaled)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        own = {"kept": self.kept.astype(np.uint8), "mean": self.mean, "std": self.std}
        return {**self.scalers.arrays(), **{f"columns.{name}": own[name] for name in own}}

    def to_json(self) -> dict[str, Any]:
        """What the checkpoint needs besides the arrays."""
        clinical = self.scalers.clinical
        return {
            "modalities": list(self.modalities),
            "columns": list(self.names),
            "encoder": clinical.to_json() if clinical else None,
        }

    @staticmethod
    def from_stored(
        arrays: Mapping[str, np.ndarray], described: Mapping[str, Any]
    ) -> PooledFeatures:
        """The inverse of `arrays` and `to_json`."""
        return PooledFeatures(
            tuple(described["modalities"]),
            Scalers.from_stored(arrays, described["encoder"]),
            tuple(described["columns"]),
            arrays["columns.kept"].astype(bool),
            arrays["columns.mean"],
            arrays["columns.std"],
        )


def fit_pooled(
    inputs: CohortInputs,
    train_ids: Sequence[str],
    modalities: Sequence[str],
    omics: OmicsConfig,
    covariates: Mapping[str, Covariate],
) -> PooledFeatures:
    """Fit on training patients; modalities that none of them has are left out.

    Raises UserInputError if nothing is left, or no column varies.
    """
    present = [name for name in modalities if inputs.available(name, train_ids).any()]
    scalers = fit_scalers(inputs, train_ids, present, omics, covariates)
    if scalers.clinical is None and "clinical" in present:
        present.remove("clinical")
    raw, names = raw_columns(inputs, train_ids, present, scalers)
    with warnings.catch_warnings():
        # A block outside every brain is NaN throughout, and is dropped.
        warnings.simplefilter("ignore", RuntimeWarning)
        mean, std = np.nanmean(raw, axis=0), np.nanstd(raw, axis=0)
    kept = np.nan_to_num(std) > LEAST_SPREAD
    if not kept.any():
        raise UserInputError(
            f"none of {', '.join(modalities)} gives a column that varies between the training "
            "patients of this fold; name a sheet of slides or genes, or declare cohort.covariates"
        )
    named = tuple(names[column] for column in np.flatnonzero(kept))
    return PooledFeatures(tuple(present), scalers, named, kept, mean[kept], std[kept])


def raw_columns(
    inputs: CohortInputs, patient_ids: Sequence[str], modalities: Sequence[str], scalers: Scalers
) -> tuple[np.ndarray, list[str]]:
    """All columns (n, c), NaN where a patient lacks the modality, and their names."""
    available = scalers.available(inputs, patient_ids, modalities)
    blocks, names = [np.empty((len(patient_ids), 0))], []
    for position, modality in enumerate(modalities):
        if modality == "slides":
            bags = [inputs.bags.get(patient) for patient in patient_ids]
            block = np.stack([mean_tile(bag, scalers) for bag in bags])
            names += [f"slides {dimension}" for dimension in range(block.shape[1])]
        elif modality == "omics" and inputs.omics is not None:
            # A gene of several groups is packed several times; it is taken where it comes first.
            genes, first = np.unique(inputs.omics.group_index, return_index=True)
            block = scalers.genes(inputs, patient_ids)[:, first].astype(float)
            names += inputs.omics.features[genes].tolist()
        elif modality in IMAGES:
            paths = inputs.volumes.get(modality, {})
            columns = measure_names(modality)
            unknown = np.full(len(columns), np.nan)
            block = np.stack(
                [measures(paths[who]) if who in paths else unknown for who in patient_ids]
            )
            names += columns
        elif modality == "clinical" and scalers.clinical is not None:
            block = scalers.covariates(inputs, patient_ids).astype(float)
            names += scalers.clinical.names
        else:
            block = np.zeros((len(patient_ids), 1))
            names += [""]
        block[~available[:, position]] = np.nan
        blocks.append(block)
    return np.concatenate(blocks, axis=1), names


def mean_tile(bag: Bag | None, scalers: Scalers) -> np.ndarray:
    """Mean (D,) of a patient's standardised tile embeddings; zeros without slides."""
    total = np.zeros(scalers.slides_dim)
    if bag is None:
        return total
    for slide in bag.slides:
        for start in range(0, len(slide), CHUNK):
            tiles = scalers.tiles(slide[start : start + CHUNK])
            total += tiles.sum(axis=0, dtype=np.float64)
    return total / len(bag)
