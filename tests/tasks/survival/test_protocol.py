"""The default truncation time: one that Uno's C can be computed at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation_fixture import Written, make_study, write_study
from survfuse.artifacts.study import Fold, Study, SurvivalOutcome
from survfuse.statistics.metrics import require_follow_up
from survfuse.tasks.survival.protocol import default_tau


def study_of(times: list[float]) -> Study:
    """Two folds that train on the first and the second half of the times."""
    rows = np.arange(len(times))
    first, second = np.array_split(rows, 2)
    folds = (Fold(0, 0, first, second), Fold(0, 1, second, first))
    outcome = SurvivalOutcome(np.array(times), rows % 2 == 0)
    return Study(tuple(f"P{row}" for row in rows), outcome, folds)


def cut_at(study: Study, months: float) -> Study:
    """The study with follow-up ended at a time for everybody."""
    time, event = study.outcome.time, study.outcome.event
    return replace(
        study, outcome=SurvivalOutcome(np.minimum(time, months), event & (time < months))
    )


@pytest.mark.parametrize("seed", range(5))
def test_tau_is_the_time_that_a_tenth_reach(seed: int) -> None:
    """Of 80 training patients eight reach the time, in the part where it is earliest."""
    study = make_study(seed=seed, repeats=2)
    eighth = [np.sort(study.outcome.time[fold.train])[-8] for fold in study.folds]
    assert default_tau(study) == min(eighth)


def test_tau_may_be_the_day_on_which_follow_up_ends() -> None:
    half = [1.0, 2, 3, 4, 5, 6, 7, 8, 9, *[24] * 11]
    assert default_tau(study_of([*half, *half])) == 24
    assert default_tau(study_of([24.0] * 10)) == 24


def test_administrative_censoring_leaves_every_training_part_with_patients_at_risk() -> None:
    study = cut_at(make_study(), 24)
    tau = default_tau(study)
    assert tau == 24
    for fold in study.folds:
        require_follow_up(study.outcome[fold.train], tau, "the training part")


def test_uno_and_the_integrated_score_exist_under_administrative_censoring(tmp_path) -> None:
    written: Written = write_study(tmp_path)
    table = written.table("outcomes.tsv")
    table["event"] = table["event"].where(table["time_months"] < 24, 0)
    table["time_months"] = table["time_months"].clip(upper=24)
    written.replace_table("outcomes.tsv", table)
    rows = [row for row in written.evaluate()["rows"] if row["role"] != "oracle"]
    assert rows and all(row["uno_c"]["value"] is not None for row in rows)
    assert all(row["ibs"]["value"] is not None for row in rows)
