"""A task is known by the outcome columns of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse.artifacts.cohort_tables import read_outcomes, write_table
from survfuse.artifacts.follow_up import follow_up_in
from survfuse.artifacts.outcome_columns import (
    OutcomeColumns,
    columns_by_task,
    columns_in,
    columns_of,
)
from survfuse.config.splits import SplitConfig
from survfuse.core.errors import UserInputError
from survfuse.sheets.leaks import leaks_of_numbers
from survfuse.splits.outer_folds import make_splits, training_part

FOLLOW_UP = pd.DataFrame({"time_months": [3.0, 5.0], "event": [1, 0]})


def test_classes_may_come_with_follow_up() -> None:
    assert columns_in(FOLLOW_UP) is columns_by_task()["survival"]
    at_horizon = columns_of(FOLLOW_UP.assign(label=[1, 0]))
    assert at_horizon is columns_by_task()["diagnosis"]
    assert list(at_horizon.present(FOLLOW_UP)) == ["time_months", "event"]


def test_a_table_without_an_outcome_is_refused(tmp_path: Path) -> None:
    table = FOLLOW_UP.drop(columns="event").assign(patient_id=["A", "B"])
    write_table(tmp_path / "o.tsv", table)
    with pytest.raises(
        UserInputError, match="no outcome, which is time_months and event, or label"
    ):
        read_outcomes(tmp_path / "o.tsv")
    with pytest.raises(ValueError, match="no task has the outcome columns"):
        columns_of(table)


def test_causes_would_be_spread_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    causes = OutcomeColumns(
        {"time_months": float, "cause": int},
        groups=lambda frame: frame["cause"].to_numpy(),
        strata=lambda frame: frame["cause"].to_numpy(),
        learned=lambda frame, _: follow_up_in(frame),
        classes=("cause",),
        ordered="time_months",
        observed="cause",
    )
    known = columns_by_task() | {"competing_risks": causes}
    monkeypatch.setattr("survfuse.artifacts.outcome_columns.columns_by_task", lambda: known)
    ids = [f"P{number:02d}" for number in range(60)]
    table = pd.DataFrame(
        {"patient_id": ids, "time_months": np.arange(60.0), "cause": np.arange(60) % 3}
    )
    settings = SplitConfig(folds=5, repeats=1)
    splits = make_splits(table, None, settings)
    assert (table.merge(splits).groupby(["fold", "cause"]).size() == 4).all()
    part = training_part(splits, table, settings, 0, 0)
    assert list(part) == ["patient_id", "role", "time_months", "cause"]
    assert set(part.loc[part["role"] == "validation", "cause"]) == {0, 1, 2}
    copies = np.column_stack([30.4375 * table["time_months"], 5 - table["cause"]])
    assert leaks_of_numbers(copies, table) == {
        0: "is the time column under another name or in another unit",
        1: "is the cause column under another name",
    }
    wrong = table.assign(cause=table["cause"].where(table.index > 1, -1))
    assert causes.sound(wrong).tolist() == [False, False, *[True] * 58]
