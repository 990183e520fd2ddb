"""What is wrong with the sample sheets: one record per problem, all of them shown at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from survfuse.errors import UserInputError

SHOWN = 50  # problems printed before "... and N more"
VALUE_WIDTH = 24  # characters of a value or column name that are shown


@dataclass(frozen=True)
class Problem:
    """One thing to correct, and where.

    `row` is the number a spreadsheet shows (the header is row 1); None means the whole file.
    `value` stays None where a cell could hold a name (malformed ids, file paths): the table is
    printed to logs, and the row number is enough to find the cell.
    """

    file: str
    row: int | None
    column: str | None
    value: str | None
    problem: str
    remedy: str


class SheetError(UserInputError):
    """Problems in the sheets; the message is the table of all of them. Exit code 2."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(problem_table(self.problems))


def stop_if_any(problems: Iterable[Problem]) -> None:
    """Raise SheetError with the table of all problems, unless there are none."""
    problems = tuple(problems)
    if problems:
        raise SheetError(problems)


def problem_table(problems: Iterable[Problem], shown: int = SHOWN) -> str:
    """Aligned text: a line per file, below it its problems in the order of their rows."""
    ordered = sorted(problems, key=lambda p: (p.file, p.row or 0, p.column or ""))
    heads = ("row", "column", "value", "problem", "remedy")
    cells = [
        (
            "" if p.row is None else str(p.row),
            shorten(visible(p.column or "")),
            "" if p.value is None else shorten(visible(p.value) or '""'),
            visible(p.problem),
            visible(p.remedy),
        )
        for p in ordered[:shown]
    ]
    widths = [max(len(line[i]) for line in (heads, *cells)) for i in range(len(heads))]

    def aligned(line: tuple[str, ...]) -> str:
        return "  " + "  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip()

    count = f"{len(ordered)} problem" + ("" if len(ordered) == 1 else "s")
    lines = [f"{count} to correct before anything is computed", aligned(heads)]
    file = None
    for problem, line in zip(ordered, cells, strict=False):
        if problem.file != file:
            file = problem.file
            lines.append(visible(file))
        lines.append(aligned(line))
    if len(ordered) > shown:
        lines.append(f"... and {len(ordered) - shown} more")
    return "\n".join(lines)


def visible(text: str) -> str:
    """The text with unprintable characters escaped, so that a cell cannot steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str) -> str:
    """The text, cut to what fits into a column of the table."""
    return text if len(text) <= VALUE_WIDTH else text[: VALUE_WIDTH - 3] + "..."
