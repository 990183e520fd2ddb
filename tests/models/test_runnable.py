"""One configuration for cohorts that lack a sheet: what cannot run is left out with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cohort_fixture import Case
from survfuse.cli.check_run import check_run
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.models.runnable import load, require_a_row, runnable
from survfuse.tasks.required import check_leaderboard
from survfuse.training.stage import check_models

ROWS = [
    {"name": "site_only", "kind": "site_only"},
    {"name": "clinical_cox", "kind": "clinical_cox"},
    {"name": "snn", "kind": "snn"},
    {"name": "abmil", "kind": "abmil"},
    {"name": "cmta", "kind": "cmta"},
    {"name": "coxnet", "kind": "coxnet"},
    {
        "name": "late",
        "kind": "late_fusion",
        "options": {"parts": ["snn", "abmil", "clinical_cox"]},
    },
    {"name": "permuted", "kind": "cmta", "permute_outcomes": True},
]
SHEETS: dict[str, Any] = {
    "slides": "slides.tsv",
    "omics": "genes.csv",
    "site": "site",
    "covariates": {"age": {"type": "continuous"}},
}


def configured(*without: str, **changes: Any) -> dict[str, Any]:
    kept = {name: value for name, value in SHEETS.items() if name not in without}
    cohort = {"patients": "patients.tsv", **kept}
    pages = {"patients": "all", "model": "cmta"}
    return {
        "name": "mine", "output": "out", "cohort": cohort, "models": ROWS, "report": pages
    } | changes  # fmt: skip


def names(config: Config) -> list[str]:
    return [model.name for model in config.models]


def test_a_cohort_with_everything_is_left_alone() -> None:
    config = Config.model_validate(configured())
    assert runnable(config) is config
    assert config.left_out == ()


@pytest.mark.parametrize(
    ("without", "rows", "reference"),
    [
        (["slides"], "site_only clinical_cox snn cmta coxnet late permuted", "clinical_cox"),
        (["omics"], "site_only clinical_cox abmil cmta coxnet late permuted", "clinical_cox"),
        (["slides", "omics"], "site_only clinical_cox coxnet", "clinical_cox"),
        (["site"], "clinical_cox snn abmil cmta coxnet late permuted", "clinical_cox"),
        (["site", "covariates"], "snn abmil cmta coxnet late permuted", "coxnet"),
        (["site", "covariates", "slides"], "snn cmta coxnet permuted", "coxnet"),
    ],
)
def test_the_same_rows_for_every_cohort(without: list[str], rows: str, reference: str) -> None:
    config = runnable(Config.model_validate(configured(*without)))
    assert names(config) == rows.split()
    assert config.evaluation.reference == reference
    assert config.report.model in names(config)
    check_models(config)
    check_leaderboard(config)
    assert runnable(config) is config
    gone = {row["name"] for row in ROWS} - set(names(config))
    told = {one.key for one in config.left_out}
    assert {f"models.{name}" for name in gone} <= told
    assert all(one.sentence.endswith(".") for one in config.left_out)


def test_a_late_fusion_loses_parts_and_goes_with_the_last_but_one() -> None:
    config = runnable(Config.model_validate(configured("slides")))
    late = next(row for row in config.models if row.name == "late")
    assert late.options["parts"] == ["snn", "clinical_cox"]
    assert "without abmil" in next(o.sentence for o in config.left_out if o.key == "models.late")
    config = runnable(Config.model_validate(configured("slides", "omics")))
    assert "clinical_cox alone" in next(
        one.sentence for one in config.left_out if one.key == "models.late"
    )


def test_without_a_control_the_remedy_says_how_to_have_one() -> None:
    config = runnable(Config.model_validate(configured("slides", "omics")))
    control = next(one for one in config.left_out if one.role == "control")
    assert "kind: clinical_cox, permute_outcomes: true" in control.remedy


def test_a_leaderboard_without_mandatory_rows_is_still_refused() -> None:
    rows = [row for row in ROWS if row["name"] != "permuted"]
    config = runnable(Config.model_validate(configured("site", models=rows)))
    with pytest.raises(UserInputError, match="control"):
        check_leaderboard(config)


def test_a_cohort_that_can_have_no_row_is_refused_at_once() -> None:
    rows = [ROWS[0], ROWS[2]]
    evaluation = {"reference": "snn"}
    raw = configured("omics", models=rows, report={}, evaluation=evaluation)
    with pytest.raises(UserInputError, match="none of the rows"):
        require_a_row(runnable(Config.model_validate(raw)))


def test_unknown_kinds_and_options_are_left_to_the_check_of_the_models() -> None:
    for row in (
        {"name": "x", "kind": "no_such"},
        {"name": "x", "kind": "coxnet", "options": {"modalities": "genes"}},
        {"name": "x", "kind": "late_fusion", "options": {"parts": [{"a": 1}, "abmil"]}},
    ):
        config = runnable(Config.model_validate(configured("slides", models=[*ROWS, row])))
        assert "x" in names(config) or "models.x" in {one.key for one in config.left_out}


def test_diagnoses_of_a_cohort_without_covariates() -> None:
    rows = [
        {"name": "site_only", "kind": "site_only"},
        {"name": "logistic", "kind": "logistic"},
        {"name": "itcfn", "kind": "itcfn"},
        {"name": "logistic_permuted", "kind": "logistic", "permute_outcomes": True},
    ]
    diagnosis = {"column": "diagnosis"}
    raw = configured("slides", "omics", "covariates", models=rows, report={})
    raw["cohort"] |= {"images": "images.tsv", "diagnosis": diagnosis}
    raw["evaluation"] = {"reference": "logistic"}
    config = runnable(Config.model_validate(raw))
    assert names(config) == ["site_only", "itcfn"]
    assert config.evaluation.reference == "itcfn"
    check_leaderboard(config)


def test_loading_leaves_out_and_the_check_notes_it(tmp_path: Path) -> None:
    case = Case(tmp_path)
    config = case.config("slides", "folds")
    raw = config.model_dump(mode="json")
    raw |= {"models": ROWS, "training": {}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(raw))
    loaded = load(path)
    assert "abmil" not in names(loaded)
    cohort = check_run(loaded)
    sentences = [note.sentence for note in cohort.notes]
    assert any("abmil is left out" in sentence for sentence in sentences)
    assert any("read slides, which no patient has" in sentence for sentence in sentences)
