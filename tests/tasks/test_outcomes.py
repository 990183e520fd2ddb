"""Outcomes against values computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from survfuse.config.cohort import CohortConfig, Endpoint
from survfuse.sheets.problems import Problem
from survfuse.sheets.text_table import Sheet
from survfuse.tasks.diagnosis.section import DiagnosisConfig
from survfuse.tasks.loading import task_named, task_of


def parsed(
    rows: list[tuple[str, str]], **endpoint: Any
) -> tuple[list[float], list[int], list[Problem]]:
    config = CohortConfig(endpoint=Endpoint.model_validate(endpoint))
    columns = task_of(config).outcome_columns(config)
    frame = pd.DataFrame(rows, columns=list(columns), index=range(2, 2 + len(rows)), dtype=object)
    outcomes, problems = task_of(config).read_outcomes(Sheet(Path("patients.tsv"), frame), config)
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


def sheet(**columns: list[str]) -> Sheet:
    rows = len(next(iter(columns.values())))
    return Sheet(Path("patients.tsv"), pd.DataFrame(columns, index=range(2, 2 + rows)))


def test_classes_by_a_column() -> None:
    diagnosis = DiagnosisConfig(column="group", classes=["CN", "MCI", "AD"])
    found = sheet(group=["MCI", "CN", "", "AD", "EMCI"])
    config = CohortConfig(diagnosis=diagnosis)
    outcomes, (problem,) = task_of(config).read_outcomes(found, config)
    assert outcomes["label"].tolist() == [1, 0, -1, 2, -1] and list(outcomes) == ["label"]
    assert (problem.row, problem.value) == (6, "EMCI") and "CN, MCI, AD" in problem.remedy


def test_classes_at_a_horizon_leave_the_censored_unknown() -> None:
    found = sheet(time=["20", "20", "36", "36", "50"], event=["1", "0", "1", "0", "1"])
    config = CohortConfig(diagnosis=DiagnosisConfig(horizon_months=36))
    outcomes, problems = task_of(config).read_outcomes(found, config)
    assert not problems and outcomes["label"].tolist() == [1, -1, 1, 0, 0]
    assert outcomes["event"].tolist() == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"column": "group", "horizon_months": 36},
        {"column": "group", "classes": ["AD"]},
        {"column": "group", "classes": ["AD", "AD"]},
        {"horizon_months": 36, "classes": ["a", "b", "c"]},
    ],
)
def test_a_diagnosis_is_defined_in_one_way(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="diagnosis"):
        DiagnosisConfig.model_validate(settings)


def test_what_is_told_of_outcomes() -> None:
    survival, diagnosis = task_named("survival"), task_named("diagnosis")
    outcomes = pd.DataFrame({"patient_id": ["A", "B", "C"], "event": [1, 0, 1]})
    assert survival.counted(outcomes) == "3 patients with 2 events"
    assert survival.cases(outcomes).tolist() == [1, 0, 1]
    followed = outcomes.assign(label=[-1, 0, 1])
    assert diagnosis.counted(followed) == "3 patients with 2 events"
    assert diagnosis.cases(followed).tolist() == [1, 0, 1]
    labelled = followed.drop(columns="event")
    assert diagnosis.counted(labelled) == "3 patients, 2 of known class"
    assert diagnosis.cases(labelled).tolist() == [0, 0, 1]
