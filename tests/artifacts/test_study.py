"""Outcomes and splits: what is read, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse.artifacts.study import SurvivalOutcome, read_study
from survfuse.core.errors import UserInputError


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = ["004", "b", "c", "d"]
    outcomes = pd.DataFrame(
        {"patient_id": ids, "time_months": [1.5, 2, 3, 4], "event": [1, 0, 1, 1]}
    )
    splits = pd.DataFrame(
        {
            "patient_id": [*ids[::-1], *ids],
            "repeat": [0] * 4 + [1] * 4,
            "fold": [0, 1, 0, 1, 0, 0, 1, 1],
        }
    )
    return outcomes, splits


def written(folder: Path, outcomes: pd.DataFrame, splits: pd.DataFrame) -> tuple[Path, Path]:
    outcomes.to_csv(folder / "outcomes.tsv", sep="\t", index=False)
    splits.to_csv(folder / "splits.tsv", sep="\t", index=False)
    return folder / "outcomes.tsv", folder / "splits.tsv"


def test_folds_follow_the_order_of_the_outcomes(tmp_path: Path) -> None:
    study = read_study(*written(tmp_path, *tables()))
    assert study.patient_ids == ("004", "b", "c", "d")
    assert study.outcome.time.tolist() == [1.5, 2, 3, 4]
    assert study.outcome.event.tolist() == [True, False, True, True]
    assert [(f.repeat, f.fold, f.train.tolist(), f.test.tolist()) for f in study.folds] == [
        (0, 0, [0, 2], [1, 3]),
        (0, 1, [1, 3], [0, 2]),
        (1, 0, [2, 3], [0, 1]),
        (1, 1, [0, 1], [2, 3]),
    ]
    assert study.n_repeats == 2 and study.test_share == 1


def drop(number: int, column: str) -> Callable[..., tuple]:
    return lambda *both: tuple(
        table.drop(columns=column) if k == number else table for k, table in enumerate(both)
    )


def put(number: int, column: str, value: object) -> Callable[..., tuple]:
    def change(*both: pd.DataFrame) -> tuple:
        both[number][column] = both[number][column].astype(object)
        both[number].loc[1, column] = value
        return both

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop(0, "event"), r"outcomes\.tsv: the column event is missing"),
        (drop(1, "fold"), r"splits\.tsv: the column fold is missing"),
        (put(0, "event", 2), r"outcomes\.tsv: row 3: event must be 0 or 1"),
        (put(0, "time_months", ""), r"outcomes\.tsv: row 3: time_months is empty"),
        (put(0, "time_months", -1), r"outcome 1: the time -1.0 is not a follow-up time"),
        (put(0, "patient_id", "004"), r"outcomes\.tsv: row 3: patient_id 004 is listed twice"),
        (put(1, "patient_id", "d"), r"splits\.tsv: row 3: patient_id d, repeat 0 is listed twice"),
        (put(1, "patient_id", "x"), r"repeat 1 and .*outcomes\.tsv do not list the same.*e\.g\. c"),
        (put(1, "repeat", 3), r"splits\.tsv: repeats must be numbered"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, change: Callable, told: str) -> None:
    with pytest.raises(UserInputError, match=told):
        read_study(*written(tmp_path, *change(*tables())))


def test_one_fold_is_no_cross_validation(tmp_path: Path) -> None:
    outcomes, splits = tables()
    with pytest.raises(UserInputError, match="at least two folds"):
        read_study(*written(tmp_path, outcomes, splits.assign(fold=0)))


def test_a_training_part_without_events_is_refused(tmp_path: Path) -> None:
    outcomes, splits = tables()
    with pytest.raises(UserInputError, match=r"outcomes\.tsv: a training part has no event"):
        read_study(*written(tmp_path, outcomes.assign(event=[0, 0, 0, 1]), splits))


def test_outcome_is_checked() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        SurvivalOutcome(np.array([1, 2]), np.array([True]))
    with pytest.raises(UserInputError, match="outcome 1: the time nan"):
        SurvivalOutcome(np.array([1, np.nan]), np.array([1, 1]))
    picked = SurvivalOutcome(np.array([1, 2, 3]), np.array([1, 0, 1]))[np.array([2, 0])]
    assert picked.time.tolist() == [3, 1] and picked.event.tolist() == [True, True]
