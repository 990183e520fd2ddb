"""Gene expression as a modality: one token that holds all gene groups end to end."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_json
from survfuse.modalities.dense import OneToken
from survfuse.modalities.omics.matrix import OmicsMatrix, build_matrix, read_matrix, write_matrix
from survfuse.modalities.omics.scaling import OmicsScaler, fit_scaler
from survfuse.modalities.omics.sheet import type_of_columns
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.protocol import (
    Attended,
    CheckedSheets,
    Modality,
    Scaling,
    Store,
    TokenReader,
    TokenShape,
)

SET_MEANS = "gene-set means"  # a block beside those of the data types


class Omics(Modality):
    """The gene matrix of the cohort, clipped and standardised gene by gene."""

    name = source = "omics"
    smallest = TokenShape(1, groups=(1,))

    def in_sheets(self, sheets: CheckedSheets, config: Config) -> frozenset[str]:
        """Who has a row in the gene matrix."""
        return sheets.omics_ids

    def pack(self, config: Config, patient_ids: Sequence[str], path: Path) -> bool:
        """The matrix, packed by gene groups."""
        assert config.cohort.omics is not None
        write_matrix(path, build_matrix(config.cohort.omics, config.omics, patient_ids))
        return True

    def open(self, paths: InputPaths, patient_ids: Collection[str] | None) -> OmicsMatrix | None:
        """The packed matrix."""
        path = paths.files.get(self.source)
        return None if path is None else read_matrix(path)

    def hashes(self, paths: InputPaths, store: Store | None) -> list[tuple[str, ...]]:
        """The values of every patient, and what columns and groups they belong to."""
        if store is None:
            return []
        assert isinstance(store, OmicsMatrix)
        columns = sha256_json([store.features.tolist(), store.group_index.tolist()])
        return [
            (patient, columns, hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest())
            for patient, values in zip(store.patient_ids.tolist(), store.values, strict=True)
        ]

    def fit(self, store: Store, train_ids: Sequence[str], config: Config) -> OmicsScaler | None:
        """Clipping bounds, mean and deviation of every gene."""
        assert isinstance(store, OmicsMatrix)
        values, present = store.rows(train_ids)
        return fit_scaler(values[present], config.omics) if present.any() else None

    def restore(self, arrays: Mapping[str, np.ndarray], described: Any) -> OmicsScaler | None:
        """The scaler of `OmicsScaler.arrays`."""
        return OmicsScaler.from_arrays(arrays) if arrays else None

    def reader(
        self,
        store: Store | None,
        scaling: Scaling | None,
        patient_ids: Sequence[str],
        shape: TokenShape | None,
    ) -> TokenReader:
        """One token: the genes of all groups, group after group."""
        if store is None or scaling is None:
            nothing = OneToken.nothing(len(patient_ids))
            return OneToken(nothing.values, self.smallest)
        assert isinstance(store, OmicsMatrix)
        packed = standardised(store, scaling, patient_ids)[:, store.group_index]
        return OneToken(packed, TokenShape(packed.shape[1], groups=store.group_widths))

    def columns(
        self, store: Store | None, scaling: Scaling, patient_ids: Sequence[str]
    ) -> tuple[np.ndarray, list[str]]:
        """The genes that belong to any group, each once."""
        if store is None:
            raise UserInputError(
                "the genes that the model was fitted on are not there; train it again without them"
            )
        assert isinstance(store, OmicsMatrix)
        genes = np.unique(store.group_index)
        values = standardised(store, scaling, patient_ids)[:, genes].astype(float)
        return values, store.features[genes].tolist()

    def blocks(
        self, store: Store | None, scaling: Scaling, patient_ids: Sequence[str], config: Config
    ) -> dict[str, tuple[np.ndarray, list[str]]]:
        """The genes of each data type; and the means of the gene sets, where there are several."""
        values, names = self.columns(store, scaling, patient_ids)
        types = np.array(type_of_columns(names, config.omics.suffixes))
        blocks = {
            kind: (values[:, own], [names[column] for column in np.flatnonzero(own)])
            for kind in config.omics.suffixes
            if (own := types == kind).any()
        }
        means = set_means(store, values, names, types)
        return blocks | ({SET_MEANS: means} if means[1] else {})

    def parts(self, store: Store | None, scaling: Scaling | None) -> dict[str, int]:
        """Gene group -> number of its genes."""
        if store is None or scaling is None:
            return {}
        assert isinstance(store, OmicsMatrix)
        return dict(zip(store.groups.tolist(), store.group_widths, strict=True))

    def part_shares(
        self, store: Store | None, scaling: Scaling, columns: Sequence[str]
    ) -> np.ndarray:
        """A gene belongs in equal parts to all its groups, the mean of a gene set to that set."""
        assert isinstance(store, OmicsMatrix)
        groups = {name: place for place, name in enumerate(store.groups.tolist())}
        owner = np.repeat(np.arange(len(groups)), store.group_widths)
        belongs = np.zeros((len(store.features), len(groups)))
        belongs[store.group_index, owner] = 1.0
        place = {name: row for row, name in enumerate(store.features.tolist())}
        shares = np.zeros((len(columns), len(groups)))
        for row, name in enumerate(columns):
            if name in place:
                shares[row] = belongs[place[name]]
            else:
                shares[row, groups[name.rpartition(" (")[0]]] = 1.0
        return shares / shares.sum(axis=1, keepdims=True)

    def attended(self, store: Store | None, patient_id: str) -> Attended:
        """The gene groups."""
        return Attended({}, tuple(store.groups.tolist() if isinstance(store, OmicsMatrix) else ()))


def standardised(store: OmicsMatrix, scaling: Scaling, patient_ids: Sequence[str]) -> np.ndarray:
    """(n, g) float32 standardised genes; 0, the training mean, where they are missing."""
    assert isinstance(scaling, OmicsScaler)
    values, _ = store.rows(patient_ids)
    return scaling.transform(values)


def set_means(
    store: Store | None, values: np.ndarray, names: Sequence[str], types: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Means (n, c) over the genes of each set, of each data type, with two genes or more.

    None where all genes are one set, which says little as a mean.
    """
    assert isinstance(store, OmicsMatrix)
    place = {name: column for column, name in enumerate(names)}
    means, titles = [np.empty((len(values), 0))], list[str]()
    for group, start, end in zip(
        store.groups, store.group_offsets[:-1], store.group_offsets[1:], strict=True
    ):
        members = np.array([place[name] for name in store.features[store.group_index[start:end]]])
        for kind in dict.fromkeys(types[members].tolist()):
            of_kind = members[types[members] == kind]
            if len(store.groups) > 1 and len(of_kind) > 1:
                means.append(values[:, of_kind].mean(axis=1, keepdims=True))
                titles.append(f"{group} ({kind})")
    return np.concatenate(means, axis=1), titles


MODALITIES = {Omics.name: Omics()}
