"""The example of docs/how_to/add_task.md is a working task."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reporting_fixture import configuration
from survfuse.cohort.check_patients import check_patients
from survfuse.config.cohort import CohortConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json
from survfuse.evaluation.files import EvaluationFiles
from survfuse.sheets.findings import Findings
from survfuse.sheets.text_table import Sheet
from survfuse.tasks.registry import TASKS, task_of
from survfuse.tasks.required import check_leaderboard

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "add_task.md"
ERRORS = {"clinical_cox": 2.0, "snn": 1.0, "snn_permuted": 4.0}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A run of the example, as if a section of the configuration asked for it."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    defined: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), defined)
    task = defined["ScoreTask"]()
    monkeypatch.setitem(TASKS, task.name, task)
    monkeypatch.setattr(CohortConfig, "task", property(lambda _: task.name))
    models = [
        {"name": name, "kind": name.split("_perm")[0], "permute_outcomes": "perm" in name}
        for name in ERRORS
    ]
    return configuration(tmp_path, models=models, cohort={"patients": "patients.tsv"})


def written(folder: Path) -> EvaluationFiles:
    """Forty patients in five folds, and predictions that err by what ERRORS says on average."""
    rng = np.random.default_rng(0)
    ids = [f"P{number:02d}" for number in range(40)]
    score = rng.normal(20, 5, 40).round(2)
    keys = pd.DataFrame({"patient_id": ids, "repeat": 0, "fold": np.arange(40) % 5})
    tables = {"outcomes": keys[["patient_id"]].assign(score=score), "splits": keys}
    for name, error in ERRORS.items():
        off = error * rng.choice([-1, 1], 40) * rng.uniform(0.8, 1.2, 40)
        tables[name] = keys.assign(predicted=score + off)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return EvaluationFiles(
        outcomes=folder / "outcomes.tsv",
        splits=folder / "splits.tsv",
        predictions=folder,
        out=folder / "evaluation.json",
    )


def test_the_example_is_evaluated(config: Config, tmp_path: Path) -> None:
    files = written(tmp_path)
    check_leaderboard(config.model_copy(update={"report": config.report.model_copy(
        update={"patients": []})}))  # fmt: skip
    task_of(config).evaluate(config, files)
    found = read_json(files.out)
    assert (found["task"], found["n_patients"], found["n_folds"]) == ("score", 40, 5)
    assert [row["model"] for row in found["rows"]] == ["clinical_cox", "snn", "snn_permuted"]
    for row in found["rows"]:
        error = row["mean_error"]
        assert error["low"] < error["value"] < error["high"]
        assert error["value"] == pytest.approx(ERRORS[row["model"]], rel=0.1)
    compared = {entry["model"]: entry for entry in found["comparisons"]}
    assert compared["snn"]["reference"] == "clinical_cox"
    assert compared["snn"]["difference"]["high"] < 0
    tables = {name: files.table(name) for name in ERRORS}
    task_of(config).write_tidy(tables, tmp_path / "tidy.tsv")
    assert len(pd.read_csv(tmp_path / "tidy.tsv", sep="\t")) == 120


def test_the_example_writes_what_it_reads(config: Config, tmp_path: Path) -> None:
    tables = task_of(config).prediction_tables()
    predicted = SimpleNamespace(patient_ids=("A", "B"), score=np.array([1.5, 2.0]))
    tables.write(tmp_path / "x.tsv", tables.frame(predicted, config, 0, 3))
    assert (tmp_path / "x.tsv").read_text().splitlines() == [
        "patient_id\trepeat\tfold\tpredicted", "A\t0\t3\t1.5", "B\t0\t3\t2.0"
    ]  # fmt: skip


def test_the_example_reads_its_sheet(config: Config) -> None:
    rows = pd.DataFrame(
        {"patient_id": ["A", "B"], "score": ["12.5", "high"]}, index=[2, 3], dtype=object
    )
    found = Findings()
    assert check_patients(Sheet(Path("patients.tsv"), rows), config, found) is None
    (problem,) = found.problems
    assert (problem.row, problem.column, problem.value) == (3, "score", "high")
    sound = Sheet(Path("patients.tsv"), rows.assign(score=["12.5", "14.5"]))
    outcomes = check_patients(sound, config, Findings())
    assert outcomes is not None
    assert outcomes["score"].tolist() == [12.5, 14.5]
    assert task_of(config).summary(outcomes, config) == {"mean_score": 13.5}
    assert task_of(config).counted(outcomes) == "2 patients"
    assert task_of(config).cases(outcomes).tolist() == [0, 0]
    (few,) = task_of(config).check_splits(outcomes, None, None, config)
    assert few.column == "splits.folds"


def test_the_example_refuses_a_leaderboard_without_its_rows(config: Config) -> None:
    without = config.model_copy(update={"models": config.models[:2]})
    with pytest.raises(UserInputError, match="the leaderboard needs a row with permute_outcomes"):
        check_leaderboard(without)
