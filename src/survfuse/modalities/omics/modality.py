"""Gene expression as a modality: one token that holds all gene groups end to end."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_json
from survfuse.modalities.conformity import Conformed, Reference
from survfuse.modalities.dense import OneToken
from survfuse.modalities.omics.checks import check_genes, check_rows
from survfuse.modalities.omics.conformity import conformed, kept_of, of_nobody
from survfuse.modalities.omics.matrix import (
    OmicsMatrix,
    build_matrix,
    gene_set_notes,
    measured_sets,
    read_matrix,
    write_matrix,
)
from survfuse.modalities.omics.scaling import OmicsScaler, fit_scaler
from survfuse.modalities.omics.sheet import (
    OmicsSheet,
    genes_per_type,
    read_omics_sheet,
    type_of_columns,
)
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.protocol import (
    Attended,
    Modality,
    Scaling,
    Store,
    TokenReader,
    TokenShape,
)
from survfuse.modalities.sheets import Brought, CheckedPatients
from survfuse.sheets.findings import Findings
from survfuse.sheets.problems import Note


def measured(patient_ids: Collection[str], genes: Mapping[str, int]) -> Brought:
    """Who has a row in the gene matrix, and how many genes of each data type it has."""
    ids = pd.Index(sorted(patient_ids), name="patient_id", dtype=object)
    return Brought(pd.DataFrame(index=ids), {"genes": dict(genes)})


SET_MEANS = "gene-set means"  # a block beside those of the data types


class Omics(Modality):
    """The gene matrix of the cohort, clipped and standardised gene by gene."""

    name = source = "omics"
    smallest = TokenShape(1, groups=(1,))

    without_sheet = measured((), {})

    def read_sheet(
        self, config: Config, patient_ids: Collection[str] | None, found: Findings
    ) -> OmicsSheet | None:
        """The gene matrix."""
        path, orientation = config.cohort.omics, config.omics.orientation
        return found.attempt(read_omics_sheet, path, orientation, patient_ids)

    def check_sheet(
        self, sheet: OmicsSheet, patients: CheckedPatients, config: Config, found: Findings
    ) -> Brought:
        """Whose genes are measured, and how many of each data type."""
        genes = genes_per_type(sheet.columns, config.omics.suffixes)
        for kind in (kind for kind, count in genes.items() if count == 0):
            fault = f"no gene column ends with {config.omics.suffixes[kind]!r} ({kind})"
            found.setting("omics.suffixes", fault, "use the suffixes of your table")
        if config.omics.gene_sets and not config.omics.gene_sets.is_file():
            found.setting("omics.gene_sets", "no such file", "correct the path")
        problems, notes = check_rows(sheet, patients.ids)
        if patients.sheet and patients.outcomes is not None:
            wrong, unusual = check_genes(sheet, patients.sheet, patients.outcomes, config.omics)
            problems, notes = problems + wrong, notes + unusual
        found.problems += problems
        found.notes += notes
        return measured({*sheet.ids.rows["patient_id"]} & (patients.ids or set()), genes)

    def check_preparation(self, sheet: OmicsSheet, config: Config) -> list[Note]:
        """The gene sets."""
        assert config.cohort.omics is not None
        genes = (config.cohort.omics, sheet.columns, config.omics)
        measured_sets(*genes)
        return gene_set_notes(*genes)

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
        if shape is not None and shape.groups != store.group_widths:
            raise UserInputError(
                f"gene groups have {list(store.group_widths)} columns, but the model was fitted on "
                f"groups of {list(shape.groups)}; give it the gene sets that it was fitted on, or "
                "train it again"
            )
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

    def reference(
        self, paths: InputPaths, store: Store, patient_ids: Sequence[str], config: Config
    ) -> Reference:
        """The genes, their groups, and the scale of their values."""
        assert isinstance(store, OmicsMatrix)
        return kept_of(store, patient_ids, dict(config.omics.suffixes))

    def conform(
        self, paths: InputPaths, store: Store | None, reference: Reference
    ) -> Conformed[Store | None]:
        """The genes of the study in its order, on its scale; where there is no sheet, of nobody."""
        if store is None:
            return Conformed(of_nobody(reference))
        assert isinstance(store, OmicsMatrix)
        found = conformed(store, reference, "the gene matrix")
        return Conformed(found.store, found.remarks)

    def for_pages(self, path: Path) -> dict[str, int]:
        """How many of its genes are measured in each patient who has any."""
        matrix = read_matrix(path)
        counts = np.isfinite(matrix.values).sum(axis=1)
        return dict(zip(matrix.patient_ids.tolist(), counts.tolist(), strict=True))

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
