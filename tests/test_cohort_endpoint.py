"""Outcomes against values computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from survfuse.cohort.endpoint import parse_outcomes
from survfuse.cohort.problems import Problem
from survfuse.cohort.sheets import Sheet
from survfuse.config import Endpoint


def parsed(
    rows: list[tuple[str, str]], **endpoint: Any
) -> tuple[list[float], list[int], list[Problem]]:
    config = Endpoint.model_validate(endpoint)
    columns = list(config.interval or (config.time, config.event))
    frame = pd.DataFrame(rows, columns=columns, index=range(2, 2 + len(rows)), dtype=object)
    outcomes, problems = parse_outcomes(Sheet(Path("patients.tsv"), frame), config)
    return outcomes["time_months"].tolist(), outcomes["event"].tolist(), problems


@pytest.mark.parametrize(
    ("unit", "text", "months"),
    [("months", "7.25", 7.25), ("years", "2.5", 30.0), ("days", "365.25", 12.0)],
)
def test_units(unit: str, text: str, months: float) -> None:
    times, _, problems = parsed([(text, "1")], time_unit=unit)
    assert times == [pytest.approx(months, rel=1e-12)] and not problems


@pytest.mark.parametrize(
    ("codes", "texts", "events"),
    [
        ({}, ["1", "0", "1.0", "0.0", "01"], [1, 0, 1, 0, 1]),
        ({"event_value": 0, "censored_value": 1}, ["1", "0.0"], [0, 1]),
        ({"event_value": "Dead", "censored_value": "Alive"}, ["dead", "ALIVE", "Dead"], [1, 0, 1]),
        ({"event_value": "1:DECEASED", "censored_value": "0:LIVING"}, ["1:deceased"], [1]),
    ],
)
def test_event_codes(codes: dict[str, Any], texts: list[str], events: list[int]) -> None:
    found = parsed([("1", text) for text in texts], **codes)
    assert found[1] == events and not found[2]


def test_problem_names_row_and_codes() -> None:
    times, events, (problem,) = parsed([("1", "1"), ("2", "yes")])
    assert times == [1.0, 2.0] and events == [1, -1]
    assert (problem.file, problem.row, problem.column, problem.value) == (
        "patients.tsv", 3, "event", "yes",
    )  # fmt: skip


def test_intervals() -> None:
    """Between visits at 12 and 18 months: 15. Never seen with the event: censored at the last."""
    rows = [("12", "18"), ("24", ""), ("0", "6"), ("9", "9"), ("1.5", "2")]
    times, events, problems = parsed(rows, interval=("free", "ill"))
    assert times == [15.0, 24.0, 3.0, 9.0, 1.75]
    assert events == [1, 0, 1, 1, 1] and not problems


def test_intervals_in_years() -> None:
    assert parsed([("1", "2")], interval=("free", "ill"), time_unit="years")[0] == [18.0]


@pytest.mark.parametrize(
    ("row", "column", "fault"),
    [
        (("18", "12"), "ill", "is before free"),
        (("", "12"), "free", "is empty"),
        (("", ""), "free", "is empty"),
        (("0", ""), "free", "is not positive"),
        (("-1", "12"), "free", "is negative"),
        (("3", "soon"), "ill", "is not a number"),
        (("0", "0"), "ill", "is not positive"),
        (("3", "1e999"), "ill", "is not finite"),
    ],
)
def test_bad_intervals(row: tuple[str, str], column: str, fault: str) -> None:
    _, _, (problem,) = parsed([row], interval=("free", "ill"))
    assert (problem.column, problem.problem) == (column, fault)


@given(st.text(max_size=20), st.text(max_size=20), st.booleans())
def test_any_text_is_an_outcome_or_a_problem(first: str, second: str, interval: bool) -> None:
    times, events, problems = parsed(
        [(first.strip(), second.strip())], **({"interval": ("a", "b")} if interval else {})
    )
    good = 0 < times[0] <= 1200 and events[0] in (0, 1)
    assert good != bool(problems)
