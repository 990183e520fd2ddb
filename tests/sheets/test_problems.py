"""The table of problems: aligned, ordered, capped, and safe to print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from survfuse.core.errors import UserInputError
from survfuse.sheets.problems import (
    Note,
    Problem,
    SheetError,
    note_table,
    problem_table,
    stop_if_any,
    visible,
)


def test_table_as_printed() -> None:
    problems = [
        Problem("b.tsv", 12, "time", "-3", "is negative", "check the dates"),
        Problem("b.tsv", 4, "event", "", "is empty", "write 1 or 0"),
        Problem("a.tsv", None, None, None, "no such file", "correct the path"),
    ]
    assert problem_table(problems).splitlines() == [
        "3 problems to correct before anything is computed",
        "  row  column  value  problem       remedy",
        "a.tsv",
        "                      no such file  correct the path",
        "b.tsv",
        '  4    event   ""     is empty      write 1 or 0',
        "  12   time    -3     is negative   check the dates",
    ]


def test_table_is_capped() -> None:
    problems = [Problem("a.tsv", row, f"c{row}", "x", "p", "r") for row in range(2, 122)]
    lines = problem_table(problems).splitlines()
    assert lines[0].startswith("120 problems")
    assert len(lines) == 3 + 50 + 1
    assert lines[-2].split()[0] == "51" and lines[-1] == "... and 70 more"


def test_what_many_rows_have_is_one_problem() -> None:
    same = [Problem("a.tsv", row, "sex", None, "is empty", "r") for row in (*range(2, 26), 30)]
    counted = [
        Problem("a.tsv", row, "id", None, f"repeats row {row - 9}", "r") for row in range(50, 70, 3)
    ]
    levels = [
        Problem("a.tsv", row, "stage", "0" if row % 3 else "X", "no level", "r")
        for row in range(2, 14)
    ]
    few = [Problem("a.tsv", row, "age", "x", "is not a number", "r") for row in (70, 80, 90, 91)]
    lines = problem_table([*same, *counted, *levels, *few]).splitlines()
    assert lines[0].startswith("7 problems")
    assert "2-25, 30" in lines[3] or "2-25, 30" in lines[4]
    table = "\n".join(lines)
    assert "is empty (25 rows)" in table
    assert "repeats row 41 (7 rows)" in table and "50, 53, 56, ..." in table
    assert "no level (12 rows: '0' 8, 'X' 4)" in table
    assert sum("is not a number" in line for line in lines) == 4


def test_sentences_follow_the_table() -> None:
    error = SheetError([Problem("a.tsv", 2, "c", "v", "p", "r")], ["models.x: no", "omics: no"])
    assert str(error).splitlines()[0] == "3 problems to correct before anything is computed"
    assert str(error).splitlines()[-2:] == ["models.x: no", "omics: no"]
    alone = str(SheetError([], ["models.x: no"])).splitlines()
    assert alone == ["1 problem to correct before anything is computed", "models.x: no"]


def test_notes_are_grouped_and_counted() -> None:
    notes = [
        Note("b.tsv", "Rows are odd.", "row 3", "mend them"),
        Note("b.tsv", "Rows are odd.", "row 9", "mend them"),
        Note("a.tsv", "Short."),
    ]
    assert note_table(notes).splitlines() == [
        "2 notes: unusual, but not wrong in every case",
        "a.tsv",
        "  - Short.",
        "b.tsv",
        "  - Rows are odd. (2 times) For example: row 3. Mend them.",
    ]


def test_stop_if_any() -> None:
    stop_if_any([])
    problem = Problem("a.tsv", 2, "c", "v", "p", "r")
    with pytest.raises(UserInputError) as caught:
        stop_if_any(iter([problem]))
    assert isinstance(caught.value, SheetError) and caught.value.problems == (problem,)


@given(st.text())
def test_whatever_a_cell_holds_is_printable(text: str) -> None:
    table = problem_table([Problem("a.tsv", 2, text, text, text, text)])
    assert table.count("\n") == 3
    assert all(line.isprintable() for line in table.splitlines())


def test_visible_escapes() -> None:
    assert visible("a\x1b[2J\n\u202eö") == r"a\x1b[2J\n\u202eö"
