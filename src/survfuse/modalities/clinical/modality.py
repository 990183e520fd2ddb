"""Clinical covariates as a modality: one token, one column for each encoded variable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.cohort_tables import read_clinical
from survfuse.config.study import Config
from survfuse.core.files import sha256_file
from survfuse.modalities.clinical.conformity import conformed, described
from survfuse.modalities.clinical.encoder import ClinicalEncoder, fit_encoder
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.conformity import Conformed, Reference
from survfuse.modalities.dense import OneToken
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.protocol import (
    CLIP,
    CheckedSheets,
    Modality,
    Scaling,
    Store,
    TokenReader,
    TokenShape,
)
from survfuse.modalities.registry import SITE


@dataclass(frozen=True)
class ClinicalTable:
    """Raw text of the site, where it is known, and the covariates; empty where missing."""

    frame: pd.DataFrame  # indexed by patient id

    def available(self, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: who has any covariate at all."""
        covariates = self.frame.loc[list(patient_ids)].drop(columns=SITE, errors="ignore")
        return np.asarray((covariates != "").any(axis=1), dtype=bool)

    def only(self, patient_ids: Collection[str]) -> ClinicalTable:
        """The same; a table is small."""
        return self

    def without(self, patient_ids: Collection[str]) -> ClinicalTable:
        """The same, with empty rows for some patients."""
        frame = self.frame.copy()
        frame.loc[frame.index.isin(list(patient_ids))] = ""
        return ClinicalTable(frame)


def clinical_table(inputs: CohortInputs) -> pd.DataFrame:
    """Raw text of the site and the covariates, for models of the clinical table alone."""
    store = inputs.stores.get(Clinical.name)
    return store.frame if isinstance(store, ClinicalTable) else inputs.patients


class Clinical(Modality):
    """The covariates of the patient sheet; a missing value becomes the training median."""

    name = "clinical"

    def in_sheets(self, sheets: CheckedSheets, config: Config) -> list[str]:
        """Who has any covariate at all."""
        table = sheets.clinical.set_index("patient_id")[list(config.cohort.covariates)]
        return table.index[(table != "").any(axis=1)].tolist()

    def open(self, paths: InputPaths, patient_ids: Collection[str] | None) -> ClinicalTable:
        """The table of the cohort."""
        return ClinicalTable(read_clinical(paths.clinical).set_index("patient_id"))

    def digest(self, paths: InputPaths) -> Any:
        """Hash of the table."""
        return sha256_file(paths.clinical)

    def hashes(self, paths: InputPaths, store: Store | None) -> list[tuple[str, ...]]:
        """The row of every patient as it is."""
        return list(read_clinical(paths.clinical).itertuples(index=False, name=None))

    def fit(self, store: Store, train_ids: Sequence[str], config: Config) -> ClinicalEncoder | None:
        """The encoder of the configured covariates; None where none of them varies."""
        assert isinstance(store, ClinicalTable)
        if not config.cohort.covariates:
            return None
        encoder = fit_encoder(store.frame.loc[list(train_ids)], config.cohort.covariates)
        return encoder if encoder.columns else None

    def restore(self, arrays: Mapping[str, np.ndarray], described: Any) -> ClinicalEncoder | None:
        """The encoder, which is stored as JSON."""
        return ClinicalEncoder.from_json(described) if described else None

    def reader(
        self,
        store: Store | None,
        scaling: Scaling | None,
        patient_ids: Sequence[str],
        shape: TokenShape | None,
    ) -> TokenReader:
        """One token of encoded covariates."""
        if store is None or scaling is None:
            return OneToken.nothing(len(patient_ids))
        return OneToken.of(encoded(store, scaling, patient_ids))

    def columns(
        self, store: Store | None, scaling: Scaling, patient_ids: Sequence[str]
    ) -> tuple[np.ndarray, list[str]]:
        """The encoded covariates."""
        assert isinstance(scaling, ClinicalEncoder)
        return encoded(store, scaling, patient_ids).astype(float), scaling.names

    def reference(
        self, paths: InputPaths, store: Store, patient_ids: Sequence[str], config: Config
    ) -> Reference:
        """The usual range or the levels of every covariate."""
        assert isinstance(store, ClinicalTable)
        return Reference(described(store.frame.loc[list(patient_ids)], config.cohort.covariates))

    def conform(
        self, paths: InputPaths, store: Store | None, reference: Reference
    ) -> Conformed[Store | None]:
        """The covariates of the study; levels that nobody had are missing."""
        assert isinstance(store, ClinicalTable)
        found = conformed(store.frame, reference.described)
        return Conformed(ClinicalTable(found.store), found.remarks)

    def parts(self, store: Store | None, scaling: Scaling | None) -> dict[str, int]:
        """Covariate -> number of its columns."""
        if not isinstance(scaling, ClinicalEncoder):
            return {}
        return dict(Counter(column.variable for column in scaling.columns))


def encoded(store: Store | None, scaling: Scaling, patient_ids: Sequence[str]) -> np.ndarray:
    """(n, C) float32 encoded covariates, clipped."""
    assert isinstance(store, ClinicalTable)
    assert isinstance(scaling, ClinicalEncoder)
    values = scaling.transform(store.frame.loc[list(patient_ids)])
    return np.clip(values, -CLIP, CLIP).astype(np.float32)


MODALITIES = {Clinical.name: Clinical()}
