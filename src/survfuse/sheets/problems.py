"""What is wrong with the sample sheets: one record per problem, all of them shown at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from survfuse.core.errors import UserInputError

SHOWN = 50  # problems printed before "... and N more"
VALUE_WIDTH = 24  # characters of a value that are shown
COLUMN_WIDTH = 40  # likewise of the name of a column or a setting
MANY = 5  # rows with the same problem that are told as one
SHOWN_RANGES = 3  # of rows, in such a line
SHOWN_VALUES = 6  # likewise
EXAMPLE_WIDTH = 160  # characters of the example of a note


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


@dataclass(frozen=True)
class Note:
    """What is unusual but not wrong: the run goes on, and the report repeats the sentence.

    `example` shows it, with the numbers of patients or rows; None where a cell could hold a name.
    File, example and remedy are for the terminal and the log. Reports print `sentence` alone, which
    therefore holds no number of patients: pages withhold small ones.
    """

    file: str
    sentence: str
    example: str | None = None
    remedy: str = ""


class SheetError(UserInputError):
    """Problems in the sheets; the message is the table of all of them. Exit code 2.

    `others` are problems that are whole sentences, such as those of models; they follow the table.
    """

    def __init__(self, problems: Iterable[Problem], others: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        self.others = tuple(others)
        super().__init__(problem_table(self.problems, others=self.others))


def stop_if_any(problems: Iterable[Problem]) -> None:
    """Raise SheetError with the table of all problems, unless there are none."""
    problems = tuple(problems)
    if problems:
        raise SheetError(problems)


def problem_table(
    problems: Iterable[Problem], shown: int = SHOWN, others: Sequence[str] = ()
) -> str:
    """Aligned text: a line per file, below it its problems in the order of their rows.

    A problem that many rows have is one line with their number. `others` stand below the table.
    """
    lines = [line for group in grouped(problems) for line in lines_of(group)]
    lines.sort(key=lambda line: (line.file, line.first_row, line.cells[1]))
    count = counted(len(lines) + len(others), "problem")
    heads = ("row", "column", "value", "problem", "remedy")
    cells = [line.cells for line in lines[:shown]]
    widths = [max(len(line[i]) for line in (heads, *cells)) for i in range(len(heads))]

    def aligned(line: tuple[str, ...]) -> str:
        return "  " + "  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip()

    table = [f"{count} to correct before anything is computed"]
    table += [aligned(heads)] if lines else []
    file = None
    for line in lines[:shown]:
        if line.file != file:
            file = line.file
            table.append(visible(file))
        table.append(aligned(line.cells))
    if len(lines) > shown:
        table.append(f"... and {len(lines) - shown} more")
    return "\n".join([*table, *others])


@dataclass(frozen=True)
class Line:
    """A line of the table: its file, where it stands among those of the file, and its cells."""

    file: str
    first_row: int
    cells: tuple[str, str, str, str, str]


def grouped(problems: Iterable[Problem]) -> list[list[Problem]]:
    """Problems of one column that differ in their row, their value or a number in their words."""
    groups: dict[tuple[str, ...], list[Problem]] = {}
    for p in sorted(problems, key=lambda p: (p.file, p.row or 0, p.column or "")):
        words = (re.sub(r"[0-9]+", "0", text) for text in (p.problem, p.remedy))
        groups.setdefault((p.file, p.column or "", *words), []).append(p)
    return list(groups.values())


def lines_of(group: list[Problem]) -> list[Line]:
    """A line per problem, or one for a group of many rows."""
    if len(group) < MANY:
        return [line_of(p, "" if p.row is None else str(p.row), p.value, p.problem) for p in group]
    first = group[0]
    values = Counter(p.value for p in group if p.value is not None)
    value, n = values.most_common(1)[0] if values else (None, 0)
    among = ""
    if len(values) > SHOWN_VALUES:
        among = f"; {len(values)} values, most often this"
    elif len(values) > 1:
        named = (f"{shorten(visible(text))!r} {times}" for text, times in values.most_common())
        among = f": {', '.join(named)}"
    rows = [p.row for p in group if p.row is not None]
    whole = f"{first.problem} ({len(group)} {'rows' if rows else 'times'}{among})"
    return [line_of(first, ranges(rows), value if n else None, whole)]


def line_of(problem: Problem, rows: str, value: str | None, words: str) -> Line:
    """The line of a problem."""
    cells = (
        rows,
        shorten(visible(problem.column or ""), COLUMN_WIDTH),
        "" if value is None else shorten(visible(value) or '""'),
        visible(words),
        visible(problem.remedy),
    )
    return Line(problem.file, problem.row or 0, cells)


def ranges(rows: Sequence[int]) -> str:
    """Row numbers in order, those that follow one another as a range: 2-25, 30."""
    runs: list[list[int]] = []
    for row in sorted(set(rows)):
        if runs and row == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], row]
        else:
            runs.append([row])
    texts = ["-".join(map(str, run)) for run in runs[:SHOWN_RANGES]]
    return ", ".join(texts + (["..."] if len(runs) > SHOWN_RANGES else []))


def note_table(notes: Iterable[Note]) -> str:
    """Notes by file, equal ones once with their number, each with its example and remedy."""
    numbers = Counter((note.file, note.sentence, note.remedy) for note in notes)
    examples = {(n.file, n.sentence, n.remedy): n.example for n in reversed(list(notes))}
    table = [f"{counted(len(numbers), 'note')}: unusual, but not wrong in every case"]
    file = None
    for key, number in sorted(numbers.items(), key=lambda item: item[0][0]):
        if key[0] != file:
            file = key[0]
            table.append(visible(file))
        _, sentence, remedy = key
        times = f" ({number} times)" if number > 1 else ""
        example = examples[key]
        such = f" For example: {shorten(visible(example), EXAMPLE_WIDTH)}." if example else ""
        advice = f" {remedy[:1].upper()}{remedy[1:]}." if remedy else ""
        table.append(f"  - {visible(sentence)}{times}{such}{visible(advice)}")
    return "\n".join(table)


def counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def visible(text: str) -> str:
    """The text with unprintable characters escaped, so that a cell cannot steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str, width: int = VALUE_WIDTH) -> str:
    """The text, cut to what fits into a column of the table."""
    return text if len(text) <= width else text[: width - 3] + "..."
