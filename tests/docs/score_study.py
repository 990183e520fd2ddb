"""A study of the task of docs/how_to/add_task.md, in a copy of the package that has it.

Run by test_add_task.py as `python score_study.py FOLDER SETTINGS`, where SETTINGS is the example of
the page. It must import nothing of the tests but the floors of the architecture.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import test_architecture as floors
import yaml

import survfuse
from survfuse.api import check_cohort, evaluate, fit, load_config, predict, prepare
from survfuse.artifacts.layout import ResultsFolder
from survfuse.config.documentation import json_schema, markdown
from survfuse.core.errors import UserInputError
from survfuse.tasks.loading import task_of

N = 80
RULES = (
    floors.test_imports_point_down,
    floors.test_no_imports_go_in_circles,
    floors.test_tasks_and_their_pages_do_not_know_one_another,
)


def refused(config: Path, **changes: Any) -> str:
    """What is said of the configuration with other sections."""
    changed = config.with_name("changed.yaml")
    changed.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | changes))
    try:
        check_cohort(load_config(changed))
    except UserInputError as error:
        return str(error)
    return ""


def written(home: Path, example: dict[str, Any]) -> Path:
    """Sheets in which age and a gene tell the score, and a configuration."""
    rng = np.random.default_rng(0)
    ids = [f"P{number:02d}" for number in range(N)]
    age, genes = rng.normal(70, 8, N).round(1), rng.normal(size=(N, 6)).round(4)
    score = (20 - 0.25 * (age - 70) + 3 * genes[:, 0] + rng.normal(0, 0.5, N)).round(2)
    sheet = {"patient_id": ids, "mmse": score, "age": age}
    pd.DataFrame(sheet).to_csv(home / "patients.tsv", sep="\t", index=False)
    table = pd.DataFrame(genes, index=pd.Index(ids, name="patient_id"), columns=list("ABCDEF"))
    table.to_csv(home / "genes.csv")
    example["cohort"] |= {
        "patients": str(home / "patients.tsv"),
        "omics": str(home / "genes.csv"),
        "covariates": {"age": {"type": "continuous"}},
    }
    training = {"members": 2, "epochs": 40, "learning_rate": 0.01, "modality_dropout": 0.0}
    splits = {"folds": 3, "repeats": 1}
    settings = {"name": "scores", "output": str(home / "out"), "splits": splits}
    path = home / "config.yaml"
    path.write_text(yaml.safe_dump(settings | {"training": training} | example))
    return path


def main(home: Path, example: dict[str, Any]) -> None:
    """The whole study, with what must be true of it."""
    floors.SOURCE = Path(survfuse.__file__).parents[1]
    for rule in RULES:
        rule()
    path = written(home, example)
    config = load_config(path)
    assert config.task == "score" and task_of(config).name == "score"
    assert "cohort.score" in markdown()
    assert "ScoreConfig" in json.loads(json_schema())["$defs"]
    prepare(config)
    results = ResultsFolder(config.output)
    train = pd.read_csv(results.splits.fold(0, 0).train, sep="\t")
    assert list(train) == ["patient_id", "role", "score"]
    by_role = train.groupby("role")["score"].mean()
    assert abs(by_role["train"] - by_role["validation"]) < 1, "roles are alike in their scores"
    for model in config.models:
        fit(config, model.name, "cpu")
        assert len(predict(config, model.name, "cpu")) == N
    described = json.loads(results.models.fit("snn", "r0f0").description.read_text())
    assert described["loss"] == "squared" and described["n_scores"] == len(train)
    strata = described["missingness"]["missing_rate"]["omics"]
    assert strata.keys() == {"below the median", "above the median"}
    error = {row["model"]: row["mean_error"]["value"] for row in evaluate(config)["rows"]}
    # Of a standard deviation of 3.6, age explains 2 and the gene 3.
    assert error["snn"] < 0.8 * error["linear_permuted"]
    assert error["linear"] < 0.95 * error["linear_permuted"]
    assert error["linear_and_genes"] < error["linear"]
    # And what is asked in vain is refused.
    message = refused(path, models=[{"name": "linear", "kind": "clinical_cox"}])
    assert "cohort.score is set, so models predict a number" in message, message
    assert "use one of late_fusion, linear, abmil" in message, message
    both = example["cohort"] | {"diagnosis": {"column": "mmse"}}
    assert "diagnosis and score ask for tasks of their own" in refused(path, cohort=both)
    few = refused(path, splits={"folds": 20})
    assert "there are 80 patients for 20 folds" in few, few
    sheet = pd.read_csv(home / "patients.tsv", sep="\t", dtype=str)
    sheet.assign(age=sheet["mmse"].astype(float) * 2).to_csv(
        home / "patients.tsv", sep="\t", index=False
    )
    assert "is the score column under another name" in refused(path)
    sheet.loc[3, "mmse"] = "high"
    sheet.to_csv(home / "patients.tsv", sep="\t", index=False)
    assert "is no number" in refused(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), yaml.safe_load(sys.argv[2]))
