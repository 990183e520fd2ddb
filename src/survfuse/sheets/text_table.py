"""Sample sheets as tables of text, with the row numbers that a spreadsheet shows.

Rows without the empty cells at their end, which spreadsheet programs leave out, are accepted, but
a note tells them. How rows are read is in `text_rows`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.config.models import IDENTIFIER
from survfuse.core.accents import composed
from survfuse.sheets.problems import Note, Problem, SheetError, stop_if_any, visible
from survfuse.sheets.text_rows import Record, records

LONGEST_IDENTIFIER = 64
LONGEST_TEXT = 100
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Sheet:
    """A table as text. `rows`: stripped cells, "" = missing, indexed by spreadsheet row.

    notes: what is unusual about the file, but not wrong.
    """

    path: Path
    rows: pd.DataFrame
    notes: tuple[Note, ...] = ()

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

    Raises SheetError where the file is unreadable, repeats a column or its header, lacks a required
    column, has a row longer than its header or a last row that was cut, or has no rows.
    """
    sheet, problems = parse_sheet(path, required)
    stop_if_any(problems)
    assert sheet is not None, "a table that cannot be read has problems"
    return sheet


def parse_sheet(
    path: Path, required: Sequence[str], essential: Sequence[str] | None = None
) -> tuple[Sheet | None, list[Problem]]:
    """The table as far as it can be read, and its problems, as `read_sheet` raises them.

    None where it cannot be read at all, or lacks an `essential` column (default: a required one).
    """
    try:
        return table_of(path, required, required if essential is None else essential)
    except SheetError as error:
        return None, list(error.problems)


def table_of(
    path: Path, required: Sequence[str], essential: Sequence[str]
) -> tuple[Sheet | None, list[Problem]]:
    """`parse_sheet`, but SheetError where the file cannot be opened, decoded or parsed."""
    lines = records(path)
    header_row, header, ended = next(lines, Record(1, [], True))
    header = [composed(name) for name in header]
    problems = check_header(path, header_row, header, required)
    width = max((i for i, name in enumerate(header, start=1) if name), default=0)
    last, table, numbers, short = Record(header_row, header, ended), [], [], []
    for last in lines:
        row, cells, ended = last
        if len(cells) < width and ended:
            short.append(row)
        elif len(cells) < width or any(cells[len(header) :]):
            problems.append(problem_of_length(path, last, len(header)))
        if cells == header:
            problems.append(repeated_header(path, row))
        table.append((cells + [""] * len(header))[: len(header)])
        numbers.append(row)
    if header and not table:
        fault = "has a header but no rows"
        problems.append(Problem(str(path), None, None, None, fault, "add the rows"))
    named = [name for name in header if name]
    if not table or len(set(named)) < len(named) or not set(essential) <= set(named):
        return None, problems
    frame = pd.DataFrame(table, index=numbers, columns=header, dtype=object)
    found = [note_of_short_rows(path, short)] if short else []
    return Sheet(
        path,
        frame.loc[:, [bool(name) for name in header]],
        (*found, *note_of_the_last_line(path, last)),
    ), problems


def repeated_header(path: Path, row: int) -> Problem:
    """The problem of a header among the rows, as tables that were put together have."""
    return Problem(str(path), row, None, None, "repeats the header", "remove the row")


def note_of_short_rows(path: Path, rows: Sequence[int]) -> Note:
    """The note that rows end before the header does."""
    sentence = "Rows with fewer cells than the header are read as if the rest were empty."
    remedy = "check that no cell is missing in the middle of these rows"
    return Note(str(path), sentence, f"{len(rows)} in all, the first in row {rows[0]}", remedy)


def note_of_the_last_line(path: Path, last: Record) -> list[Note]:
    """The note that the last number of a file may lack digits, where the file was cut short."""
    if last.ended or not last.cells or not last.cells[-1][-1:].isdigit():
        return []
    sentence = "The last line has no line end; if the file was cut, its last number lacks digits."
    remedy = "compare the last line with the original, and end it with a line end"
    return [Note(str(path), sentence, f"row {last.row}", remedy)]


def check_header(
    path: Path, row: int, header: Sequence[str], required: Sequence[str]
) -> list[Problem]:
    """Problems of a header: nothing there, repeated columns, missing columns.

    Raises SheetError for a line that is no header, because all rows below it would be wrong too.
    """
    if not header:
        return [Problem(str(path), None, None, None, "is empty", "write a header and the rows")]
    lacking = [name for name in dict.fromkeys(required) if name not in header]
    if (lacking or not any(header[1:])) and (problem := line_before_the_header(header)):
        stop_if_any([Problem(str(path), row, None, None, *problem)])
    problems = [
        Problem(str(path), row, name, None, f"column appears {n} times", "keep or rename one")
        for name, n in Counter(header).items()
        if name and n > 1
    ]
    found = ", ".join(visible(name)[:30] for name in header[:8])
    hint = f"add or rename it; the header has: {found}"
    problems += [Problem(str(path), row, name, None, "column is missing", hint) for name in lacking]
    return problems


def line_before_the_header(cells: Sequence[str]) -> tuple[str, str] | None:
    """What a line is that programs write above the header, and the remedy; None for a header."""
    first, others = cells[0], any(cells[1:])
    remedy = "remove the lines above the header"
    if first.startswith("#"):
        return "is a comment, where the header should be", f"{remedy} (those that start with #)"
    if first.casefold().startswith("sep=") and not others:
        return "is Excel's mark of the delimiter, where the header should be", remedy
    if len(cells) > 2 and first and not others:
        return "is a title, where the header should be", remedy
    return None


def problem_of_length(path: Path, record: Record, width: int) -> Problem:
    """The problem of a row with more or fewer cells than its header, which has `width`."""
    row, cells, ended = record
    fault = f"has {len(cells)} cells, the header {width}"
    remedy = "remove the extra cells, or quote cells that contain the delimiter"
    if len(cells) == width + 1:
        remedy += "; R leaves out the name of the first column: add it to the header"
    elif len(cells) < width and ended:
        remedy = "add the missing cells, if need be empty ones"
    elif len(cells) < width:
        fault, remedy = fault + "; the file ends there", "copy the file again: it was cut short"
    return Problem(str(path), row, None, None, fault, remedy)


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
