"""Reading a gene matrix from a Parquet file, a few columns at a time."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from survfuse.core.brought_files import UnusableFileError, require_regular
from survfuse.modalities.omics.cells import NOT_FINITE, NUMERIC
from survfuse.modalities.omics.table import (
    KEY,
    LARGEST_CELLS,
    OmicsTable,
    columns_to_read,
    too_large,
)
from survfuse.sheets.problems import Problem, SheetError, stop_if_any
from survfuse.sheets.text_rows import unreadable

COLUMNS_AT_A_TIME = 256
INDEX = re.compile(r"__index_level_\d+__")  # how pandas stores an index without a name


def read_parquet(path: Path, genes_in_rows: bool, known: Collection[str]) -> OmicsTable:
    """Read the numbers of a Parquet file; row 2 is its first.

    The labels of genes in rows are the first column of text, or the index of pandas. Raises
    SheetError where the file is none, is damaged or claims more cells than a matrix can have, the
    header is wrong, or a column holds anything but finite numbers.
    """
    try:
        require_regular(path)
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return read_columns(path, file, genes_in_rows, known)
    except SheetError:
        raise
    except FileNotFoundError:
        raise unreadable(path, None, "no such file", "correct the path") from None
    except UnusableFileError as error:
        raise unreadable(path, None, str(error), "name a Parquet file") from None
    except (OSError, MemoryError, OverflowError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "copy the file again; a table of text needs the suffix .csv or .tsv"
        raise unreadable(path, None, f"is not Parquet or is damaged: {reason}", remedy) from None


def read_columns(
    path: Path, file: pq.ParquetFile, genes_in_rows: bool, known: Collection[str]
) -> OmicsTable:
    """`read_parquet` of an open file."""
    schema = file.schema_arrow
    rows, columns = file.metadata.num_rows, len(schema.names)
    if rows * max(columns, 1) > LARGEST_CELLS:
        stop_if_any([too_large(path, rows, columns)])
    names = [name for name in schema.names if not INDEX.fullmatch(name)]
    key = KEY
    if genes_in_rows:
        texts = [name for name in schema.names if is_text(schema.field(name).type)]
        key = texts[0] if texts else schema.names[0]
        names = [key, *(name for name in names if name != key)]
    elif key not in names and len(names) < columns:
        fault = "the patients are an index of pandas without a name"
        remedy = f'name it: frame.index.name = "{KEY}", and write the file again'
        stop_if_any([Problem(str(path), 1, KEY, None, fault, remedy)])
    _, positions = columns_to_read(path, 1, names, genes_in_rows, known)
    labels = file.read([key]).column(key).to_pylist()
    problems = []
    wanted = [names[position] for position in positions]
    read = np.empty((rows, len(wanted)), dtype=np.float32)
    for start in range(0, len(wanted), COLUMNS_AT_A_TIME):
        part = file.read(wanted[start : start + COLUMNS_AT_A_TIME])
        for position, name in enumerate(part.column_names, start):
            read[:, position], problem = numbers_of(path, name, part.column(name))
            problems += [problem] if problem else []
    stop_if_any(problems)
    return OmicsTable(
        {row: label_of(value) for row, value in enumerate(labels, 2)},
        tuple(wanted),
        read,
    )


def label_of(value: Any) -> str:
    """An id or a gene's name as text; pandas makes 12.0 of an id 12 where another is missing."""
    if value is None:
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()


def is_text(kind: pa.DataType) -> bool:
    """Whether a column may name genes."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))


def numbers_of(
    path: Path, name: str, column: pa.ChunkedArray
) -> tuple[NDArray[np.float32], Problem | None]:
    """A column as numbers (n,), NaN = not measured, or the problem that it has none."""
    kind = column.type
    types = pa.types
    numeric = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
    if not any(is_kind(kind) for is_kind in numeric):
        fault = f"holds {kind}, not numbers"
        nothing = np.full(len(column), np.nan, dtype=np.float32)
        return nothing, Problem(str(path), None, name, None, fault, NUMERIC)
    values: NDArray[np.float32] = column.cast(pa.float32(), safe=False).to_numpy()
    if infinite := np.flatnonzero(np.isinf(values)).tolist():
        row, text = infinite[0], str(column[infinite[0]].as_py())
        return values, Problem(str(path), row + 2, name, text, NOT_FINITE, NUMERIC)
    return values, None
