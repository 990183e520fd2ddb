"""The rows of a text table, with the row numbers that a spreadsheet shows.

Tables are tab-separated (.tsv, .txt) or comma-separated (.csv), optionally gzipped. A byte-order
mark, Windows line ends, quoted cells, blank lines and spaces around cells are accepted.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from survfuse.core.brought_files import UnusableFileError
from survfuse.sheets.problems import Problem, SheetError
from survfuse.sheets.text_lines import (
    DELIMITER_NAMES,
    LARGEST_SHEET_BYTES,
    other_delimiter,
    remedy_of,
    text_lines,
)

LARGEST_CELL = 131_072  # characters; more is a file of another kind
DELIMITERS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
UNDECODABLE = re.compile("[\udc80-\udcff]")  # what errors="surrogateescape" makes of bad bytes


class Record(NamedTuple):
    """A row of a table; `ended` tells whether its last line has a line end."""

    row: int  # as a spreadsheet shows it
    cells: list[str]  # stripped
    ended: bool


def records(path: Path, ceiling_bytes: int = LARGEST_SHEET_BYTES) -> Iterator[Record]:
    """Every row that is not blank.

    Raises SheetError where the file cannot be opened, decoded or parsed, is larger than the
    ceiling, or has another delimiter than its suffix promises.
    """
    row, line, separator = 0, "", delimiter(path)
    csv.field_size_limit(LARGEST_CELL)  # other packages raise this limit of the whole process

    def lines() -> Iterator[str]:
        nonlocal line
        header_seen = False
        for line in text_lines(path, ceiling_bytes):
            if not header_seen and line.strip():
                header_seen = True
                refuse_other_delimiter(path, line, separator)
            yield line

    try:
        for row, cells in enumerate(csv.reader(lines(), delimiter=separator, strict=True), start=1):
            refuse_undecodable(path, row, cells)
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield Record(row, stripped, line.endswith(("\n", "\r")))
    except FileNotFoundError:
        raise unreadable(path, None, "no such file", "correct the path") from None
    except csv.Error as error:
        raise unreadable(
            path, row + 1, f"is not a table: {error}", "check the quotes from this row on"
        ) from None
    except UnusableFileError as error:
        raise unreadable(path, None, str(error), remedy_of(str(error))) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise unreadable(path, None, f"cannot be read: {reason}", "check the file") from None


def delimiter(path: Path) -> str:
    """The delimiter that the suffix promises. Raises SheetError for unknown suffixes."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if plain.suffix.lower() in WORKBOOKS:
        remedy = "save the sheet as CSV UTF-8 (.csv), or as tab-separated text (.tsv)"
        raise unreadable(path, None, "is a workbook of a spreadsheet program", remedy)
    if plain.suffix.lower() not in DELIMITERS:
        raise unreadable(
            path, None, "has a suffix that is not a table's", "use .tsv, .csv, .tsv.gz or .csv.gz"
        )
    return DELIMITERS[plain.suffix.lower()]


def refuse_other_delimiter(path: Path, line: str, promised: str) -> None:
    """Raise SheetError where the header is separated by something else than the suffix says."""
    mark = other_delimiter(line, promised)
    if mark is None:
        return
    fault = f"cells are separated by {DELIMITER_NAMES[mark]}"
    wanted = f"separate them with {DELIMITER_NAMES[promised]}, as the suffix says"
    suffix = next((end for end, of_end in DELIMITERS.items() if of_end == mark), None)
    if suffix:
        remedy = f"{wanted}, or name the file {suffix}"
    else:
        remedy = f"{wanted}, and write decimal points: 0.5, not 0,5"
    raise unreadable(path, 1, fault, remedy)


def refuse_undecodable(path: Path, row: int, cells: Sequence[str]) -> None:
    """Raise SheetError where a cell holds bytes that are not UTF-8, or none of any text."""
    joined = "".join(cells)
    if joined.isascii() and "\0" not in joined:
        return
    for position, cell in enumerate(cells, start=1):
        if "\0" in cell:
            fault, remedy = f"cell {position} holds a NUL byte", "save the file as UTF-8 text"
            raise unreadable(path, row, fault, remedy)
        if UNDECODABLE.search(cell):
            fault, remedy = f"cell {position} is not UTF-8 text", "save it with the encoding UTF-8"
            raise unreadable(path, row, fault, remedy)


def unreadable(path: Path, row: int | None, problem: str, remedy: str) -> SheetError:
    """The error of a file that could not be read as a table."""
    return SheetError([Problem(str(path), row, None, None, problem, remedy)])
