"""Reading the sample sheets as text, with the row numbers that a spreadsheet shows.

Tables are tab-separated (.tsv, .txt) or comma-separated (.csv), optionally gzipped. A byte-order
mark, Windows line ends, quoted cells, blank lines and spaces around cells are accepted.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pandas as pd

from survfuse.cohort.problems import Problem, SheetError, stop_if_any, visible
from survfuse.config import IDENTIFIER

LARGEST_CELL = 131_072  # characters; more is a file of another kind
DELIMITERS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
LONGEST_IDENTIFIER = 64
LONGEST_TEXT = 100
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
UNDECODABLE = re.compile("[\udc80-\udcff]")  # what errors="surrogateescape" makes of bad bytes


@dataclass(frozen=True)
class Sheet:
    """A table as text. `rows`: stripped cells, "" = missing, indexed by spreadsheet row."""

    path: Path
    rows: pd.DataFrame

    def problem(
        self,
        row: int | None,
        column: str | None,
        problem: str,
        remedy: str,
        value: str | None = None,
    ) -> Problem:
        """A problem of this sheet."""
        return Problem(str(self.path), row, column, value, problem, remedy)


def read_sheet(path: Path, required: Sequence[str]) -> Sheet:
    """Read a table of text cells.

    Raises SheetError where the file is unreadable, repeats a column, lacks a required one, has a
    row longer than its header, or has no rows.
    """
    lines = records(path)
    header_row, header = next(lines, (1, []))
    problems = check_header(path, header_row, header, required)
    table, numbers = [], []
    for row, cells in lines:
        problems += check_length(path, row, cells, len(header))
        table.append((cells + [""] * len(header))[: len(header)])
        numbers.append(row)
    if header and not table:
        fault = "has a header but no rows"
        problems.append(Problem(str(path), None, None, None, fault, "add the rows"))
    stop_if_any(problems)
    frame = pd.DataFrame(table, index=numbers, columns=header, dtype=object)
    return Sheet(path, frame.loc[:, [bool(name) for name in header]])


def check_header(
    path: Path, row: int, header: Sequence[str], required: Sequence[str]
) -> list[Problem]:
    """Problems of a header: nothing there, repeated columns, missing columns."""
    if not header:
        return [Problem(str(path), None, None, None, "is empty", "write a header and the rows")]
    problems = [
        Problem(str(path), row, name, None, f"column appears {n} times", "keep or rename one")
        for name, n in Counter(header).items()
        if name and n > 1
    ]
    found = ", ".join(visible(name)[:30] for name in header[:8])
    for name in dict.fromkeys(required):
        if name not in header:
            hint = f"add or rename it; the header has: {found}"
            if len(header) == 1 and re.search(r"[,;\t|]", header[0]):
                hint = "separate the cells with tabs (.tsv) or commas (.csv) as the suffix says"
            problems.append(Problem(str(path), row, name, None, "column is missing", hint))
    return problems


def check_length(path: Path, row: int, cells: Sequence[str], width: int) -> list[Problem]:
    """The problem of a row with filled cells beyond its header; missing ones count as empty."""
    if not any(cells[width:]):
        return []
    fault = f"has {len(cells)} cells, the header {width}"
    remedy = "remove the extra cells, or quote cells that contain the delimiter"
    return [Problem(str(path), row, None, None, fault, remedy)]


def records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Spreadsheet row number and stripped cells of every row that is not blank.

    Raises SheetError where the file cannot be opened, decoded or parsed.
    """
    row, separator = 0, delimiter(path)
    csv.field_size_limit(LARGEST_CELL)  # other packages raise this limit of the whole process
    try:
        with open_text(path) as text:
            reader = csv.reader(text, delimiter=separator, strict=True)
            for row, cells in enumerate(reader, start=1):
                refuse_undecodable(path, row, cells)
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    yield row, stripped
    except FileNotFoundError:
        raise unreadable(path, None, "no such file", "correct the path") from None
    except csv.Error as error:
        raise unreadable(
            path, row + 1, f"is not a table: {error}", "check the quotes from this row on"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise unreadable(path, None, f"cannot be read: {reason}", "check the file") from None


def open_text(path: Path) -> IO[str]:
    """Open a plain or gzipped file as text; undecodable bytes become surrogates."""
    how: dict[str, Any] = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    if path.suffix.lower() == ".gz":
        return cast(IO[str], gzip.open(path, "rt", **how))
    return path.open("rt", **how)


def delimiter(path: Path) -> str:
    """The delimiter that the suffix promises. Raises SheetError for unknown suffixes."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if plain.suffix.lower() not in DELIMITERS:
        raise unreadable(
            path, None, "has a suffix that is not a table's", "use .tsv, .csv, .tsv.gz or .csv.gz"
        )
    return DELIMITERS[plain.suffix.lower()]


def refuse_undecodable(path: Path, row: int, cells: Sequence[str]) -> None:
    """Raise SheetError where a cell holds bytes that are not UTF-8."""
    for position, cell in enumerate(cells, start=1):
        if not cell.isascii() and UNDECODABLE.search(cell):
            raise unreadable(
                path,
                row,
                f"cell {position} is not UTF-8 text",
                "save the file with the encoding UTF-8",
            )


def unreadable(path: Path, row: int | None, problem: str, remedy: str) -> SheetError:
    """The error of a file that could not be read as a table."""
    return SheetError([Problem(str(path), row, None, None, problem, remedy)])


def check_unique(sheet: Sheet, column: str) -> list[Problem]:
    """Problems of a column of ids: missing or repeated.

    Ids that differ only in case count as repeated: some file systems would give them one file.
    """
    problems = []
    first_row: dict[str, int] = {}
    for row, text in cells_of(sheet, column):
        if not text:
            remedy = "write the id, or remove the row"
            problems.append(sheet.problem(row, column, "is empty", remedy))
        elif (earlier := first_row.setdefault(text.casefold(), row)) != row:
            problems.append(sheet.problem(row, column, f"repeats row {earlier}", "keep one row"))
    return problems


def check_identifiers(sheet: Sheet, column: str) -> list[Problem]:
    """Problems of a column of unique identifiers: missing, repeated, or malformed.

    Malformed ones are described, not quoted; they could be names.
    """
    problems = check_unique(sheet, column)
    remedy = f"use up to {LONGEST_IDENTIFIER} letters, digits, _ and -, no patient names"
    for row, text in cells_of(sheet, column):
        if text and (fault := fault_of_identifier(text)):
            problems.append(sheet.problem(row, column, fault, remedy))
    return problems


def fault_of_identifier(text: str) -> str | None:
    """What keeps a text from being an identifier, or None."""
    if re.fullmatch(IDENTIFIER, text):
        return None
    if len(text) > LONGEST_IDENTIFIER or not text:
        return f"has {len(text)} characters"
    allowed = [re.fullmatch("[A-Za-z0-9_-]", character) is not None for character in text]
    wrong = 0 if all(allowed) else allowed.index(False)  # all allowed: the first is _ or -
    return f"has {text[wrong]!r} as character {wrong + 1}"


def fault_of_text(text: str) -> str | None:
    """What keeps a text from being a plain label, or None."""
    if len(text) > LONGEST_TEXT:
        return f"has {len(text)} characters"
    return None if text.isprintable() else "has unprintable characters"


def as_number(text: str) -> float | None:
    """The number that a cell holds (point as decimal mark), or None; may be infinite."""
    return float(text) if NUMBER.fullmatch(text) else None


def problems_where(sheet: Sheet, wrong: pd.DataFrame, problem: str, remedy: str) -> list[Problem]:
    """The same problem for every marked cell; `wrong` (bool) has rows and columns of the sheet."""
    rows, columns = wrong.index.tolist(), wrong.columns.tolist()
    return [
        sheet.problem(rows[i], columns[j], problem, remedy, str(sheet.rows.at[rows[i], columns[j]]))
        for i, j in np.argwhere(wrong.to_numpy(dtype=bool)).tolist()
    ]


def numbers(sheet: Sheet, columns: Sequence[str]) -> pd.DataFrame:
    """Columns as float64, NaN = empty. Raises SheetError where one is not a finite number."""
    texts = sheet.rows[list(columns)]
    values = texts.apply(pd.to_numeric, errors="coerce").astype(float)
    wrong = ~np.isfinite(values) & (texts != "")
    stop_if_any(problems_where(sheet, wrong, "is not a finite number", "correct the table"))
    return values


def cells_of(sheet: Sheet, column: str) -> Iterator[tuple[int, str]]:
    """Row number and text of every cell of a column."""
    return zip(sheet.rows.index.tolist(), sheet.rows[column].tolist(), strict=True)
