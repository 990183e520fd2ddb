"""The table of problems: aligned, ordered, capped, and safe to print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from survfuse.cohort.problems import Problem, SheetError, problem_table, stop_if_any, visible
from survfuse.errors import UserInputError


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
    problems = [Problem("a.tsv", row, "time", "x", "p", "r") for row in range(2, 122)]
    lines = problem_table(problems).splitlines()
    assert lines[0].startswith("120 problems")
    assert len(lines) == 3 + 50 + 1
    assert lines[-2].split()[0] == "51" and lines[-1] == "... and 70 more"


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
