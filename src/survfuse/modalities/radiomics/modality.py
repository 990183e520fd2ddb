"""Radiomics as a modality: one token, and one column for each feature that varies.

The smallest complete modality, and the example to start a new one from. The table itself
(`cohort.tables.radiomics`, patients by features) is read and checked with the other sheets; the
cohort holds it as `radiomics.tsv`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.cohort_tables import read_features
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_json
from survfuse.modalities.conformity import Conformed, Reference, same_columns
from survfuse.modalities.dense import OneToken
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.protocol import CLIP, Modality, Scaling, Store, TokenReader, TokenShape

LEAST_SPREAD = 1e-9  # standard deviations below it are rounding


@dataclass(frozen=True)
class FeatureTable:
    """Features of the patients who have any, NaN where one is missing."""

    frame: pd.DataFrame  # float, indexed by patient id

    def available(self, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: who has a row."""
        return np.asarray(pd.Index(patient_ids).isin(self.frame.index), dtype=bool)

    def only(self, patient_ids: Collection[str]) -> FeatureTable:
        """The same; a table is small."""
        return self

    def without(self, patient_ids: Collection[str]) -> FeatureTable:
        """The rows of all other patients."""
        return FeatureTable(self.frame.drop(index=list(patient_ids), errors="ignore"))


@dataclass(frozen=True)
class FeatureScaler:
    """Median, mean and standard deviation of every feature that varies, (p,) each."""

    names: tuple[str, ...]
    median: np.ndarray  # in place of what is missing
    mean: np.ndarray
    std: np.ndarray

    def transform(self, store: FeatureTable, patient_ids: Sequence[str]) -> np.ndarray:
        """(n, p) in training deviations, clipped; 0 for patients without a row.

        Raises UserInputError where the table has rows, but a feature is gone.
        """
        gone = [name for name in self.names if name not in store.frame.columns]
        if gone and len(store.frame):
            raise UserInputError(
                f"the table of features has no {', '.join(gone)}, which the model was fitted on; "
                "add it, or train the model again"
            )
        values = store.frame.reindex(index=list(patient_ids), columns=list(self.names)).to_numpy()
        scaled = (np.where(np.isnan(values), self.median, values) - self.mean) / self.std
        return np.where(store.available(patient_ids)[:, None], np.clip(scaled, -CLIP, CLIP), 0.0)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        return {"median": self.median, "mean": self.mean, "std": self.std}

    def to_json(self) -> dict[str, Any]:
        """The names of the features."""
        return {"names": list(self.names)}


class Radiomics(Modality):
    """A table of features for each patient."""

    name = source = "radiomics"

    def open(self, paths: InputPaths, patient_ids: Collection[str] | None) -> FeatureTable | None:
        """The table of the cohort."""
        path = paths.files.get(self.source)
        return None if path is None else FeatureTable(read_features(path))

    def hashes(self, paths: InputPaths, store: Store | None) -> list[tuple[str, ...]]:
        """The features of every patient, by one hash."""
        if not isinstance(store, FeatureTable):
            return []
        names = list(store.frame.columns)
        rows = zip(store.frame.index, store.frame.to_numpy().tolist(), strict=True)
        return [(str(patient), sha256_json([names, str(values)])) for patient, values in rows]

    def fit(self, store: Store, train_ids: Sequence[str], config: Config) -> FeatureScaler | None:
        """Fit on training patients; features that none of them has, or that do not vary, go."""
        assert isinstance(store, FeatureTable)
        known = store.frame[store.frame.index.isin(list(train_ids))].dropna(axis=1, how="all")
        filled = known.fillna(known.median())
        filled = filled.loc[:, filled.std(ddof=0) > LEAST_SPREAD]
        if filled.empty:
            return None
        names = tuple(map(str, filled.columns))
        moments = (filled.mean().to_numpy(), filled.std(ddof=0).to_numpy())
        return FeatureScaler(names, known[list(names)].median().to_numpy(), *moments)

    def restore(self, arrays: Mapping[str, np.ndarray], described: Any) -> FeatureScaler | None:
        """The scaler of `FeatureScaler.arrays` and `to_json`."""
        return FeatureScaler(tuple(described["names"]), **arrays) if arrays else None

    def reader(
        self,
        store: Store | None,
        scaling: Scaling | None,
        patient_ids: Sequence[str],
        shape: TokenShape | None,
    ) -> TokenReader:
        """One token of all features."""
        if not isinstance(store, FeatureTable) or not isinstance(scaling, FeatureScaler):
            return OneToken.nothing(len(patient_ids))
        return OneToken.of(scaling.transform(store, patient_ids).astype(np.float32))

    def columns(
        self, store: Store | None, scaling: Scaling, patient_ids: Sequence[str]
    ) -> tuple[np.ndarray, list[str]]:
        """The features."""
        assert isinstance(scaling, FeatureScaler)
        table = store if isinstance(store, FeatureTable) else FeatureTable(pd.DataFrame())
        return scaling.transform(table, patient_ids), list(scaling.names)

    def reference(
        self, paths: InputPaths, store: Store, patient_ids: Sequence[str], config: Config
    ) -> Reference:
        """The names of the features."""
        assert isinstance(store, FeatureTable)
        return Reference({"features": list(map(str, store.frame.columns))})

    def conform(
        self, paths: InputPaths, store: Store | None, reference: Reference
    ) -> Conformed[Store | None]:
        """The features of the study; those that are not there are missing."""
        if not isinstance(store, FeatureTable):
            return Conformed(store)
        found = same_columns(store.frame, reference.described["features"], self.name)
        return Conformed(FeatureTable(found.store), found.remarks)

    def parts(self, store: Store | None, scaling: Scaling | None) -> dict[str, int]:
        """Each feature by itself."""
        return dict.fromkeys(scaling.names, 1) if isinstance(scaling, FeatureScaler) else {}


MODALITIES = {Radiomics.name: Radiomics()}
