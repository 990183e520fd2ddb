"""One row of numbers per patient, for models that read no bags of tiles and no volumes.

Covariates, genes, the mean tile, and regional measures of volumes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.protocol import CLIP
from survfuse.modalities.scaling import Scalers, fit_scalers
from survfuse.models.estimator import NothingToLearnError

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
                "the columns of an input are not those that the model was fitted on; train it again"
            )
        scaled = np.clip((raw[:, self.kept] - self.mean) / self.std, -CLIP, CLIP)
        return np.where(np.isnan(scaled), 0.0, scaled)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        own = {"kept": self.kept.astype(np.uint8), "mean": self.mean, "std": self.std}
        return {**self.scalers.arrays(), **{f"columns.{name}": own[name] for name in own}}

    def to_json(self) -> dict[str, Any]:
        """What the checkpoint needs besides the arrays."""
        return {
            "modalities": list(self.modalities),
            "columns": list(self.names),
            "scaling": self.scalers.to_json(),
        }

    @staticmethod
    def from_stored(
        arrays: Mapping[str, np.ndarray], described: Mapping[str, Any]
    ) -> PooledFeatures:
        """The inverse of `arrays` and `to_json`."""
        modalities = tuple(described["modalities"])
        return PooledFeatures(
            modalities,
            Scalers.from_stored(arrays, described["scaling"], modalities),
            tuple(described["columns"]),
            arrays["columns.kept"].astype(bool),
            arrays["columns.mean"],
            arrays["columns.std"],
        )


def fit_pooled(
    inputs: CohortInputs,
    train_ids: Sequence[str],
    modalities: Sequence[str],
    config: Config,
) -> PooledFeatures:
    """Fit on training patients; modalities that none of them has are left out.

    Raises NothingToLearnError if nothing is left, or no column varies.
    """
    present = [name for name in modalities if inputs.available(name, train_ids).any()]
    scalers = fit_scalers(inputs, train_ids, present, config)
    present = [name for name in present if name in scalers.fitted]
    raw, names = raw_columns(inputs, train_ids, present, scalers)
    with warnings.catch_warnings():
        # A block outside every brain is NaN throughout, and is dropped.
        warnings.simplefilter("ignore", RuntimeWarning)
        mean, std = np.nanmean(raw, axis=0), np.nanstd(raw, axis=0)
    kept = np.nan_to_num(std) > LEAST_SPREAD
    if not kept.any():
        raise NothingToLearnError(
            f"none of {', '.join(modalities)} gives a column that varies between the training "
            "patients"
        )
    named = tuple(names[column] for column in np.flatnonzero(kept))
    return PooledFeatures(tuple(present), scalers, named, kept, mean[kept], std[kept])


def raw_columns(
    inputs: CohortInputs, patient_ids: Sequence[str], modalities: Sequence[str], scalers: Scalers
) -> tuple[np.ndarray, list[str]]:
    """All columns (n, c), NaN where a patient lacks the modality, and their names."""
    available = scalers.available(inputs, patient_ids, modalities)
    blocks, names = [np.empty((len(patient_ids), 0))], list[str]()
    for position, name in enumerate(modalities):
        store, scaling = inputs.stores.get(name), scalers.fitted[name]
        block, columns = modality(name).columns(store, scaling, patient_ids)
        block[~available[:, position]] = np.nan
        blocks.append(block)
        names += columns
    return np.concatenate(blocks, axis=1), names
