"""A gene matrix as it lies in its file, whichever way it is turned."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from survfuse.sheets.problems import Note, Problem, stop_if_any
from survfuse.sheets.text_table import check_header

LARGEST_CELLS = 4_000_000_000  # of a matrix: 16 GB as numbers, 60,000 genes of 66,000 patients
KEY = "patient_id"
# Columns that describe genes, as cBioPortal, GDC, Xena and others call them; in lower case.
GENE_NAMES = {
    *("hugo_symbol", "gene", "genes", "gene_symbol", "gene symbol", "gene_name", "gene name"),
    *("gene_id", "geneid", "genesymbol", "genename", "symbol", "hgnc_symbol", "ensembl_id"),
    *("ensembl", "ensembl_gene_id", "entrez_gene_id", "entrez", "entrezgene", "probe", "probe_id"),
    *("probeid", "composite element ref", "composite.element.ref", "hybridization ref"),
}
ANNOTATIONS = GENE_NAMES | {
    *("gene_type", "gene_biotype", "biotype", "description", "chromosome", "chr", "chrom"),
    *("start", "end", "strand", "length", "cytoband", "locus id", "locus_id", "uniprot"),
}


@dataclass(frozen=True)
class OmicsTable:
    """A matrix as it lies in its file.

    labels: the first cell of every row, by spreadsheet row. columns: names of the columns of
    numbers. values: (rows, columns) float32, NaN = not measured.
    """

    labels: dict[int, str]
    columns: tuple[str, ...]
    values: NDArray[np.float32]
    notes: tuple[Note, ...] = ()


def columns_to_read(
    path: Path, row: int, header: Sequence[str], genes_in_rows: bool, known: Collection[str]
) -> tuple[int, list[int]]:
    """Position of the column of labels, and positions of those of numbers.

    Patients in rows are labelled by `patient_id`, genes by the first column; other columns that
    describe genes are left out. Raises SheetError for a header that is wrong or turned the other
    way.
    """
    if header and re.fullmatch(r"#1\.\d", header[0]):
        fault, remedy = (
            "is a GCT file, whose header is its third line",
            "remove the first two lines",
        )
        stop_if_any([Problem(str(path), row, None, None, fault, remedy)])
    if header and not genes_in_rows and KEY not in header:
        refuse_patients_in_columns(path, header, known)
    if header and genes_in_rows and KEY in header and not named_after_patients(header, known)[0]:
        fault = "patients stand in the rows, omics.orientation says that genes do"
        stop_if_any([Problem(str(path), row, KEY, None, fault, "remove omics.orientation")])
    problems = check_header(path, row, header, [] if genes_in_rows else [KEY])
    nameless = header.index("", 1) if "" in header[1:] else None
    if header and not genes_in_rows and not header[0]:
        nameless = 0
    if nameless is not None:
        where = f"column {nameless + 1}"
        problems.append(Problem(str(path), row, where, None, "has no name", "name or remove it"))
    stop_if_any(problems)
    label = 0 if genes_in_rows else list(header).index(KEY)
    left_out = ANNOTATIONS if genes_in_rows else set[str]()
    numbers = [
        position
        for position, name in enumerate(header)
        if position != label and name.lower() not in left_out
    ]
    if not numbers:
        fault = "has no column of numbers"
        stop_if_any([Problem(str(path), row, None, None, fault, "add the measurements")])
    return label, numbers


def refuse_patients_in_columns(path: Path, names: Sequence[str], known: Collection[str]) -> None:
    """Raise SheetError where the columns are patients: by their ids, or by a column of genes.

    A column is a patient's, too, if its name is the barcode of a sample of the patient.
    """
    patients, others = named_after_patients(names, known)
    if names[0].lower() not in GENE_NAMES and patients * 2 <= others:
        return
    fault = "patients stand in the columns, genes in the rows"
    if patients:
        fault += f": {patients} of {others} columns are named after patients"
    remedy = "set omics.orientation: genes_in_rows, or transpose the table (one row per patient)"
    stop_if_any([Problem(str(path), 1, None, None, fault, remedy)])


def named_after_patients(names: Sequence[str], known: Collection[str]) -> tuple[int, int]:
    """How many columns after the first are named after patients, of how many that may be."""
    others = [name for name in names[1:] if name.lower() not in ANNOTATIONS]
    return sum(belongs(name, known) for name in others), len(others)


def belongs(name: str, known: Collection[str]) -> bool:
    """Whether a name is a known id, or one followed by a point or hyphen, as sample barcodes are.

    R writes points for hyphens.
    """
    if name in known:
        return True
    parts = name.replace(".", "-").split("-")
    return any("-".join(parts[:count]) in known for count in range(1, len(parts) + 1))


def too_large(path: Path, rows: int, columns: int) -> Problem:
    """The problem of a table that claims more cells than any gene matrix has."""
    fault = f"has {rows:,} rows of {columns:,} columns, more than a gene matrix can have"
    return Problem(str(path), None, None, None, fault, "check that it is the right file")
