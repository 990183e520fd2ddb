"""Reading the gene matrix, cell by cell: its patients, its columns, its numbers.

The check keeps no numbers in memory. Encoding reads with the same function, so that what passes
the check is what is encoded.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from survfuse.cohort.problems import Problem, SheetError, stop_if_any
from survfuse.cohort.sheets import (
    Sheet,
    as_number,
    check_header,
    check_length,
    delimiter,
    records,
    unreadable,
)

MISSING = {"", "na", "nan"}
COLUMNS_AT_A_TIME = 256  # of a parquet file
INDEX = re.compile(r"__index_level_\d+__")  # how pandas stores an index without a name
LARGEST = float(np.finfo(np.float32).max)
NOT_FINITE = "is not a finite number"
NUMERIC = "write numbers, and nothing where there is no measurement"


@dataclass(frozen=True)
class OmicsSheet:
    """The patients of a gene matrix (column `patient_id` of `ids`), its other columns, its numbers.

    values: (patients, columns) float32, NaN = not measured; None where they were not to be kept.
    """

    ids: Sheet
    columns: tuple[str, ...]
    values: NDArray[np.float32] | None


def read_omics_sheet(path: Path, keep: bool = False) -> OmicsSheet:
    """Check every cell of a gene matrix (.csv, .tsv, also .gz, or .parquet), and list its patients.

    The numbers are kept only if asked for. Raises SheetError where the file is unreadable, lacks
    `patient_id`, repeats a column, has no rows, or where a value is not a finite number; of every
    column the first such value is named.
    """
    if path.suffix.lower() == ".parquet":
        return read_parquet(path, keep)
    refuse_suffix(path)
    lines = records(path)
    header_row, header = next(lines, (1, []))
    stop_if_any(check_columns(path, header_row, header))
    key = header.index("patient_id")
    columns = [name for name in header if name != "patient_id"]
    ids: dict[int, str] = {}
    problems: list[Problem] = []
    wrong: dict[str, Problem] = {}
    kept = []
    for row, cells in lines:
        problems += check_length(path, row, cells, len(header))
        cells = (cells + [""] * len(header))[: len(header)]
        ids[row] = cells.pop(key)
        values = [measurement(text) for text in cells]
        if None in values:
            for name, text, value in zip(columns, cells, values, strict=True):
                if value is None and name not in wrong:
                    wrong[name] = Problem(str(path), row, name, text, NOT_FINITE, NUMERIC)
        elif keep:
            kept.append(np.array(values, dtype=np.float32))
    problems += wrong.values()
    return checked(path, ids, columns, problems, lambda: np.stack(kept) if keep else None)


def refuse_suffix(path: Path) -> None:
    """Raise SheetError where the suffix is that of no gene matrix."""
    try:
        delimiter(path)
    except SheetError:
        fault, remedy = "has a suffix that is not a gene matrix's", "use .parquet, .csv or .tsv"
        raise unreadable(path, None, fault, f"{remedy}, the latter also .gz") from None


def check_columns(path: Path, row: int, header: Sequence[str]) -> list[Problem]:
    """Problems of the header; unlike in other sheets, a column without a name is one."""
    problems = check_header(path, row, header, ["patient_id"])
    if header and not all(header):
        where = f"column {list(header).index('') + 1}"
        problems.append(Problem(str(path), row, where, None, "has no name", "name or remove it"))
    return problems


def measurement(text: str) -> float | None:
    """The number of a cell, NaN where nothing was measured, None for anything else.

    Numbers are finite, also in the 32 bits that they are kept in.
    """
    value = as_number(text)
    if value is None:
        return math.nan if text.lower() in MISSING else None
    return value if abs(value) <= LARGEST else None


def read_parquet(path: Path, keep: bool) -> OmicsSheet:
    """The same for a parquet file, a few columns at a time. Row 2 is the first patient."""
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if not INDEX.fullmatch(name)]
            stop_if_any(check_columns(path, 1, names))
            ids = file.read(["patient_id"]).column("patient_id").to_pylist()
            problems, kept = [], [np.empty((len(ids), 0), dtype=np.float32)]
            genes = [name for name in names if name != "patient_id"]
            for start in range(0, len(genes), COLUMNS_AT_A_TIME):
                part = file.read(genes[start : start + COLUMNS_AT_A_TIME])
                for name, column in zip(part.column_names, part.columns, strict=True):
                    values, problem = numbers_of(path, name, column)
                    problems += [problem] if problem else []
                    kept += [values[:, None]] if keep else []
    except FileNotFoundError:
        raise unreadable(path, None, "no such file", "correct the path") from None
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise unreadable(path, None, f"is not parquet: {reason}", "check the file") from None
    texts = {
        row: "" if value is None else str(value).strip() for row, value in enumerate(ids, start=2)
    }
    return checked(path, texts, genes, problems, lambda: np.hstack(kept) if keep else None)


def numbers_of(
    path: Path, name: str, column: pa.ChunkedArray
) -> tuple[NDArray[np.float32], Problem | None]:
    """A column as numbers (n,), NaN = not measured, or the problem that it has none."""
    kind = column.type
    types = pa.types
    if not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
        fault = f"holds {kind}, not numbers"
        nothing = np.full(len(column), np.nan, dtype=np.float32)
        return nothing, Problem(str(path), None, name, None, fault, NUMERIC)
    values: NDArray[np.float32] = column.cast(pa.float32(), safe=False).to_numpy()
    if infinite := np.flatnonzero(np.isinf(values)).tolist():
        row, text = infinite[0], str(column[infinite[0]].as_py())
        return values, Problem(str(path), row + 2, name, text, NOT_FINITE, NUMERIC)
    return values, None


def checked(
    path: Path,
    ids: Mapping[int, str],
    columns: Sequence[str],
    problems: list[Problem],
    values: Callable[[], NDArray[np.float32] | None],
) -> OmicsSheet:
    """The sheet, or SheetError where it has problems or no rows."""
    if not ids:
        fault = "has a header but no rows"
        problems.append(Problem(str(path), None, None, None, fault, "add the rows"))
    stop_if_any(problems)
    rows = pd.DataFrame({"patient_id": list(ids.values())}, index=list(ids), dtype=object)
    return OmicsSheet(Sheet(path, rows), tuple(columns), values())


def genes_per_type(columns: Sequence[str], suffixes: Mapping[str, str]) -> dict[str, int]:
    """How many columns each data type has; the longest suffix that fits a column decides."""
    by_length = sorted(suffixes, key=lambda kind: len(suffixes[kind]), reverse=True)
    kinds = (
        next((kind for kind in by_length if column.endswith(suffixes[kind])), None)
        for column in columns
    )
    counts = Counter(kinds)
    return {kind: counts[kind] for kind in suffixes}
