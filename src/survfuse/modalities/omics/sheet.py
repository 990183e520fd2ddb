"""Reading the gene matrix, cell by cell: its patients, its columns, its numbers.

The check and the encoding read with the same function, so that what passes the check is what is
encoded. The numbers are kept in memory as 32-bit floats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survfuse.modalities.omics.parquet import read_parquet
from survfuse.modalities.omics.table import OmicsTable, refuse_patients_in_columns
from survfuse.modalities.omics.text import read_text
from survfuse.sheets.problems import Note, Problem, SheetError, stop_if_any
from survfuse.sheets.text_rows import WORKBOOKS, delimiter, unreadable
from survfuse.sheets.text_table import Sheet

Orientation = Literal["patients_in_rows", "genes_in_rows"]
SHOWN_GENES = 3


@dataclass(frozen=True)
class OmicsSheet:
    """The patients of a gene matrix (column `patient_id` of `ids`), its other columns, its numbers.

    values: (patients, columns) float32, NaN = not measured. Where the file has genes in rows,
    columns are these genes, and rows of `ids` are numbered by the columns of the file.
    """

    ids: Sheet
    columns: tuple[str, ...]
    values: NDArray[np.float32]


def read_omics_sheet(
    path: Path, orientation: Orientation = "patients_in_rows", known: Collection[str] | None = None
) -> OmicsSheet:
    """Read and check every cell of a gene matrix (.csv, .tsv, also .gz, or .parquet).

    `known`: ids of the cohort, if these are known, by which a table that is turned the other way
    is recognised. Raises SheetError where the file is unreadable, lacks `patient_id`, repeats a
    column, has no rows, or where a value is not a finite number; of every column the first such
    value is named.
    """
    known = frozenset(() if known is None else known)
    genes_in_rows = orientation == "genes_in_rows"
    if path.suffix.lower() == ".parquet":
        table = read_parquet(path, genes_in_rows, known)
    else:
        refuse_suffix(path)
        table = read_text(path, genes_in_rows, known)
    if not table.labels:
        raise unreadable(path, None, "has a header but no rows", "add the rows")
    if genes_in_rows:
        return transposed(path, table)
    if known.isdisjoint(table.labels.values()):
        refuse_patients_in_columns(path, ("patient_id", *table.columns), known)
    rows = pd.DataFrame(
        {"patient_id": list(table.labels.values())}, index=list(table.labels), dtype=object
    )
    return OmicsSheet(Sheet(path, rows, table.notes), table.columns, table.values)


def refuse_suffix(path: Path) -> None:
    """Raise SheetError where the suffix is that of no gene matrix."""
    try:
        delimiter(path)
    except SheetError as error:
        if path.suffix.lower() in WORKBOOKS:
            raise error from None
        fault, remedy = "has a suffix that is not a gene matrix's", "use .parquet, .csv or .tsv"
        raise unreadable(path, None, fault, f"{remedy}, the latter also .gz") from None


def transposed(path: Path, table: OmicsTable) -> OmicsSheet:
    """The matrix of a file with genes in rows and patients in columns.

    Rows without the name of a gene are left out, and so are all but the first of a gene's, as
    tables of cBioPortal have; notes tell. Raises SheetError where columns differ by case alone.
    """
    by_case = Counter(name.casefold() for name in table.columns)
    fault, remedy = "differs from another column by case alone", "keep or rename one"
    stop_if_any(
        Problem(str(path), 1, name, None, fault, remedy)
        for name in table.columns
        if by_case[name.casefold()] > 1
    )
    genes = list(table.labels.values())
    first = {gene: row for row, gene in reversed(list(enumerate(genes))) if gene}
    kept = sorted(first.values())
    if not kept:
        fault = "has no row with the name of a gene"
        raise unreadable(path, None, fault, "write the names into the first column")
    notes = [*table.notes]
    if nameless := genes.count(""):
        sentence = f"Rows of the gene matrix without the name of a gene, left out: {nameless}."
        notes.append(Note(str(path), sentence, None, "name the genes in the first column"))
    if repeated := [gene for gene, count in Counter(genes).items() if gene and count > 1]:
        shown = ", ".join(repeated[:SHOWN_GENES])
        sentence = f"Genes with several rows, of which the first is read: {len(repeated)}."
        notes.append(Note(str(path), sentence, shown, "keep one row of a gene, or average them"))
    numbered = range(2, len(table.columns) + 2)
    rows = pd.DataFrame({"patient_id": list(table.columns)}, index=numbered, dtype=object)
    values = table.values if len(kept) == len(genes) else table.values[kept]
    columns = tuple(genes[row] for row in kept)
    return OmicsSheet(Sheet(path, rows, tuple(notes)), columns, values.T)


def of_patients(sheet: OmicsSheet, patient_ids: Collection[str]) -> OmicsSheet:
    """The rows of some patients alone."""
    kept = sheet.ids.rows["patient_id"].isin(list(patient_ids)).to_numpy(dtype=bool)
    if kept.all():
        return sheet
    ids = replace(sheet.ids, rows=sheet.ids.rows[kept])
    return OmicsSheet(ids, sheet.columns, sheet.values[kept])


def type_of_columns(columns: Sequence[str], suffixes: Mapping[str, str]) -> list[str | None]:
    """The data type of every column, or None; the longest suffix that fits a column decides."""
    by_length = sorted(suffixes, key=lambda kind: len(suffixes[kind]), reverse=True)
    return [
        next((kind for kind in by_length if column.endswith(suffixes[kind])), None)
        for column in columns
    ]


def genes_per_type(columns: Sequence[str], suffixes: Mapping[str, str]) -> dict[str, int]:
    """How many columns each data type has; the longest suffix that fits a column decides."""
    counts = Counter(type_of_columns(columns, suffixes))
    return {kind: counts[kind] for kind in suffixes}
