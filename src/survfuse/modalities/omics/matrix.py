"""The gene matrix with its groups, and the one file format that holds them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from survfuse.config.omics import OmicsConfig
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path
from survfuse.modalities.omics.gene_names import why_apart
from survfuse.modalities.omics.gene_sets import GeneSets, members_of, read_gene_sets
from survfuse.modalities.omics.scale import check_transform
from survfuse.modalities.omics.sheet import of_patients, read_omics_sheet
from survfuse.modalities.omics.transform import transformed
from survfuse.sheets.problems import Note, stop_if_any
from survfuse.sheets.text_table import check_unique

log = logging.getLogger(__name__)

SHOWN_SETS = 5  # of those that are dropped
HALF = 0.5  # share of the genes of the sets; with fewer measured, a note tells


@dataclass(frozen=True)
class OmicsMatrix:
    """Measurements (NaN = missing) and gene groups packed as offsets into one index.

    The values are those of the table, after `omics.transform`, and not yet standardised.

    Group k consists of the columns `group_index[group_offsets[k]:group_offsets[k + 1]]`; a column
    may belong to several groups.
    """

    patient_ids: np.ndarray  # (n,) str
    features: np.ndarray  # (g,) str, with the suffix of the data type
    values: np.ndarray  # (n, g) float32
    groups: np.ndarray  # (k,) str
    group_offsets: np.ndarray  # (k + 1,) int64
    group_index: np.ndarray  # (sum of widths,) int64

    @property
    def group_widths(self) -> tuple[int, ...]:
        """Number of columns of each group."""
        return tuple(int(width) for width in np.diff(self.group_offsets))

    def rows(self, patient_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Values (n, g) and availability (n,) of the given patients, joined by id.

        Patients without measurements get a row of NaN and False. Raises ValueError on repeated ids.
        """
        if len(set(patient_ids)) != len(patient_ids):
            raise ValueError("patient ids are repeated; the join by id would be ambiguous")
        position = {patient: row for row, patient in enumerate(self.patient_ids.tolist())}
        where = np.array([position.get(patient, -1) for patient in patient_ids], dtype=np.int64)
        present = where >= 0
        values = np.full((len(patient_ids), len(self.features)), np.nan, dtype=np.float32)
        values[present] = self.values[where[present]]
        joined = self.patient_ids[where[present]].tolist()
        asked = [patient for patient, there in zip(patient_ids, present, strict=True) if there]
        assert joined == asked, "the join by id went wrong"
        return values, present

    def available(self, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: which patients have a row."""
        return np.asarray(np.isin(np.asarray(patient_ids, dtype=str), self.patient_ids))

    def only(self, patient_ids: Collection[str]) -> OmicsMatrix:
        """The same; a matrix is small beside slides."""
        return self

    def without(self, patient_ids: Collection[str]) -> OmicsMatrix:
        """The same matrix without the measurements of some patients."""
        kept = ~np.isin(self.patient_ids, list(patient_ids))
        return replace(self, patient_ids=self.patient_ids[kept], values=self.values[kept])


def build_matrix(
    sheet: Path, config: OmicsConfig, known_patients: Sequence[str] | None = None
) -> OmicsMatrix:
    """Read a gene matrix, keep the columns of the configured data types, and group them.

    Without a gene-set file all columns form one group, "all genes". Patients that are not in
    `known_patients` are left out.
    """
    frame = read_sheet(sheet, config, known_patients)
    genes, sets = measured_sets(sheet, list(frame.columns), config)
    if frame.empty:
        raise UserInputError(f"{sheet}: no row belongs to a patient of the cohort")
    frame = frame[sorted(genes)].sort_index()
    names, offsets, index = pack_groups(list(frame.columns), genes, sets)
    log.info("gene columns: %d, gene groups: %d", len(frame.columns), len(names))
    return OmicsMatrix(
        patient_ids=frame.index.to_numpy(dtype=str),
        features=np.array(frame.columns, dtype=str),
        values=frame.to_numpy(dtype=np.float32),
        groups=np.array(names, dtype=str),
        group_offsets=offsets,
        group_index=index,
    )


def read_sheet(
    path: Path, config: OmicsConfig, known_patients: Sequence[str] | None = None
) -> pd.DataFrame:
    """Gene matrix as a float32 frame indexed by patient, NaN = not measured.

    Turned and transformed as configured, without patients who are not known. Raises SheetError (a
    UserInputError) for what check-cohort refuses, in the same words.
    """
    sheet = read_omics_sheet(path, config.orientation, known_patients)
    stop_if_any(check_unique(sheet.ids, "patient_id"))
    if known_patients is not None:
        sheet = of_patients(sheet, known_patients)
    stop_if_any(check_transform(sheet, config))
    index = pd.Index(sheet.ids.rows["patient_id"], name="patient_id")
    values = transformed(sheet.values, sheet.columns, config)
    return pd.DataFrame(values, index=index, columns=list(sheet.columns))


def gene_of_column(columns: Sequence[str], suffixes: dict[str, str]) -> dict[str, str]:
    """Gene symbol of every column that carries one of the suffixes.

    The longest matching suffix decides; an empty suffix accepts columns that match no other.
    """
    by_length = sorted(suffixes.values(), key=len, reverse=True)
    genes = {}
    for column in columns:
        suffix = next((end for end in by_length if column.endswith(end)), None)
        if suffix is not None and len(column) > len(suffix):
            genes[column] = column.removesuffix(suffix)
    return genes


def measured_sets(
    sheet: Path, columns: Sequence[str], config: OmicsConfig
) -> tuple[dict[str, str], GeneSets]:
    """Genes by the columns of the configured data types, and the gene sets that have enough.

    A set keeps its measured genes alone. Raises UserInputError where there are no such columns, the
    file of gene sets is none, or no set has `min_genes` measured genes.
    """
    genes = gene_of_column(columns, config.suffixes)
    if not genes:
        raise UserInputError(
            f"{sheet}: no column ends with any of the suffixes {list(config.suffixes.values())}; "
            "set omics.suffixes to those of your table"
        )
    measured = set(genes.values())
    sets = {"all genes": tuple(sorted(measured))}
    if config.gene_sets:
        sets = {
            name: tuple(gene for gene in members if gene in measured)
            for name, members in read_gene_sets(config.gene_sets).items()
        }
    large = {name: members for name, members in sets.items() if len(members) >= config.min_genes}
    if not large:
        raise UserInputError(
            f"{config.gene_sets or sheet}: no gene set has {config.min_genes} genes "
            f"(omics.min_genes) that are measured in {sheet}; check that both use the same gene "
            f"symbols, or lower omics.min_genes{hint_of(measured, config)}"
        )
    if dropped := [name for name in sets if name not in large]:
        shown = ", ".join(dropped[:SHOWN_SETS]) + (", ..." if len(dropped) > SHOWN_SETS else "")
        sentence = "gene sets with fewer than %d measured genes, which are dropped: %d (%s)"
        log.warning(sentence, config.min_genes, len(dropped), shown)
    return genes, large


def hint_of(measured: Collection[str], config: OmicsConfig) -> str:
    """Why no gene set meets the matrix, for the end of a message; empty where nothing is known."""
    if not config.gene_sets:
        return ""
    reason = why_apart(measured, members_of(read_gene_sets(config.gene_sets)))
    return f". {reason.removesuffix('.')}" if reason else ""


def gene_set_notes(sheet: Path, columns: Sequence[str], config: OmicsConfig) -> list[Note]:
    """The note that many genes of the gene sets are not measured, and why that may be.

    Raises UserInputError where the file of gene sets is none.
    """
    if not config.gene_sets:
        return []
    measured = set(gene_of_column(columns, config.suffixes).values())
    wanted = members_of(read_gene_sets(config.gene_sets))
    found = len(wanted & measured)
    log.info("genes of the gene sets that are measured: %d of %d", found, len(wanted))
    reason = why_apart(measured, wanted)
    if found >= HALF * len(wanted) and not reason:
        return []
    sentence = f"Of {len(wanted)} genes of the gene sets {found} are measured."
    remedy = "use the same names of genes in the gene matrix and in the gene sets"
    missing = min(wanted - measured)
    sentence = f"{sentence} {reason}" if reason else sentence
    return [Note(str(config.gene_sets), sentence, f"{missing} is not in {sheet.name}", remedy)]


def pack_groups(
    columns: Sequence[str], genes: dict[str, str], sets: GeneSets
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, offsets and packed column indices of sets of measured genes."""
    columns_of: dict[str, list[int]] = {}
    for position, column in enumerate(columns):
        columns_of.setdefault(genes[column], []).append(position)
    packed, offsets = [], [0]
    for members in sets.values():
        packed += sorted(position for gene in members for position in columns_of[gene])
        offsets.append(len(packed))
    return list(sets), np.array(offsets, dtype=np.int64), np.array(packed, dtype=np.int64)


def write_matrix(path: Path, matrix: OmicsMatrix) -> None:
    """Write the matrix as one uncompressed .npz, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            patient_id=matrix.patient_ids,
            feature=matrix.features,
            values=matrix.values,
            group=matrix.groups,
            group_offsets=matrix.group_offsets,
            group_index=matrix.group_index,
            sha256=np.array(content_sha256(matrix)),
        )


def content_sha256(matrix: OmicsMatrix) -> str:
    """Hash of everything in a matrix, by which later stages see that its file was changed."""
    digest = hashlib.sha256()
    for field in fields(matrix):
        values = np.ascontiguousarray(getattr(matrix, field.name))
        digest.update(f"{values.dtype.str} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def read_matrix(path: Path) -> OmicsMatrix:
    """Read what `write_matrix` wrote. Raises UserInputError for other files, or a changed one."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            recorded = str(stored["sha256"]) if "sha256" in stored else ""
            matrix = OmicsMatrix(
                patient_ids=stored["patient_id"],
                features=stored["feature"],
                values=stored["values"],
                groups=stored["group"],
                group_offsets=stored["group_offsets"],
                group_index=stored["group_index"],
            )
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such gene matrix; run encode-omics") from None
    except (ValueError, EOFError, KeyError, TypeError, AttributeError, BadZipFile):
        raise UserInputError(
            f"{path}: is no gene matrix of this program; name the file that encode-omics writes"
        ) from None
    if recorded and recorded != content_sha256(matrix):
        raise UserInputError(
            f"{path}: was changed after it was written (its content is not what it was recorded to "
            "be); run encode-omics again"
        )
    return matrix
