"""Checking the gene matrix without keeping it in memory: its patients, its columns, its numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from survfuse.cohort.problems import Problem, stop_if_any
from survfuse.cohort.sheets import (
    Sheet,
    as_number,
    check_header,
    check_length,
    records,
    unreadable,
)

MISSING = {"", "na", "nan"}
COLUMNS_AT_A_TIME = 256  # of a parquet file
NOT_FINITE = "is not a finite number"
NUMERIC = "write numbers, and nothing where there is no measurement"


@dataclass(frozen=True)
class OmicsSheet:
    """The patients of a gene matrix (column `patient_id` of `ids`) and its other columns."""

    ids: Sheet
    columns: tuple[str, ...]


def read_omics_sheet(path: Path) -> OmicsSheet:
    """Check every cell of a gene matrix (.csv, .tsv, also .gz, or .parquet), and list its patients.

    Raises SheetError where the file is unreadable, lacks `patient_id`, repeats a column, has no
    rows, or where a value is not a finite number; of every column the first such value is named.
    """
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    lines = records(path)
    header_row, header = next(lines, (1, []))
    stop_if_any(check_columns(path, header_row, header))
    key = header.index("patient_id")
    ids: dict[int, str] = {}
    problems: list[Problem] = []
    wrong: dict[str, Problem] = {}
    for row, cells in lines:
        problems += check_length(path, row, cells, len(header))
        ids[row] = cells[key]
        for name, text in zip(header, cells, strict=False):
            if name not in wrong and name != "patient_id" and not is_measurement(text):
                wrong[name] = Problem(str(path), row, name, text, NOT_FINITE, NUMERIC)
    return checked(path, ids, header, [*problems, *wrong.values()])


def check_columns(path: Path, row: int, header: Sequence[str]) -> list[Problem]:
    """Problems of the header; unlike in other sheets, a column without a name is one."""
    problems = check_header(path, row, header, ["patient_id"])
    if header and not all(header):
        where = f"column {list(header).index('') + 1}"
        problems.append(Problem(str(path), row, where, None, "has no name", "name or remove it"))
    return problems


def is_measurement(text: str) -> bool:
    """Whether a cell holds a finite number or nothing."""
    value = as_number(text)
    return text.lower() in MISSING if value is None else math.isfinite(value)


def read_parquet(path: Path) -> OmicsSheet:
    """The same for a parquet file, a few columns at a time. Row 2 is the first patient."""
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            stop_if_any(check_columns(path, 1, names))
            ids = file.read(["patient_id"]).column("patient_id").to_pylist()
            problems = []
            genes = [name for name in names if name != "patient_id"]
            for start in range(0, len(genes), COLUMNS_AT_A_TIME):
                part = file.read(genes[start : start + COLUMNS_AT_A_TIME])
                problems += not_finite(path, part)
    except FileNotFoundError:
        raise unreadable(path, None, "no such file", "correct the path") from None
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise unreadable(path, None, f"is not parquet: {reason}", "check the file") from None
    texts = {row: "" if value is None else str(value) for row, value in enumerate(ids, start=2)}
    return checked(path, texts, names, problems)


def not_finite(path: Path, part: pa.Table) -> list[Problem]:
    """Columns of a table that are no numbers, or hold an infinite one."""
    problems = []
    for name, column in zip(part.column_names, part.columns, strict=True):
        kind = column.type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            if not pa.types.is_boolean(kind):
                fault = f"holds {kind}, not numbers"
                problems.append(Problem(str(path), None, name, None, fault, NUMERIC))
        elif infinite := np.flatnonzero(np.isinf(column.to_numpy())).tolist():
            row = infinite[0] + 2
            problems.append(Problem(str(path), row, name, "inf", NOT_FINITE, NUMERIC))
    return problems


def checked(
    path: Path, ids: Mapping[int, str], names: Sequence[str], problems: list[Problem]
) -> OmicsSheet:
    """The sheet, or SheetError where it has problems or no rows."""
    if not ids:
        fault = "has a header but no rows"
        problems.append(Problem(str(path), None, None, None, fault, "add the rows"))
    stop_if_any(problems)
    rows = pd.DataFrame({"patient_id": list(ids.values())}, index=list(ids), dtype=object)
    columns = tuple(name for name in names if name != "patient_id")
    return OmicsSheet(Sheet(path, rows), columns)


def genes_per_type(columns: Sequence[str], suffixes: Mapping[str, str]) -> dict[str, int]:
    """How many columns each data type has; the longest suffix that fits a column decides."""
    by_length = sorted(suffixes, key=lambda kind: len(suffixes[kind]), reverse=True)
    kinds = (
        next((kind for kind in by_length if column.endswith(suffixes[kind])), None)
        for column in columns
    )
    counts = Counter(kinds)
    return {kind: counts[kind] for kind in suffixes}
