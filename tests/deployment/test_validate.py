"""A package in another cohort: against known truth, other libraries, and hostile configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sksurv.metrics import concordance_index_censored

from deployment_fixture import CONFIG, drawn, finished_study
from survfuse import api
from survfuse.artifacts.package_layout import ExternalFolder
from survfuse.cli.main import main
from survfuse.core.errors import UserInputError
from survfuse.deployment.freeze import freeze_study

FASTER = 2.5  # by which time runs in the other hospital


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    return freeze_study(finished_study(folder), folder / "package", archive=False)


def other_hospital(folder: Path, change=None, **cohort: Any) -> Path:
    """The configuration of 300 patients, whose events come sooner, a third without genes."""
    folder.mkdir(parents=True, exist_ok=True)
    patients, genes = drawn(7, 300, "H")
    patients["time"] = (patients["time"] / FASTER).clip(lower=0.01).round(3)
    if change:
        patients = change(patients)
    patients.to_csv(folder / "patients.tsv", sep="\t", index=False)
    genes.iloc[: 2 * len(genes) // 3].to_csv(folder / "genes.csv", index=False)
    described = yaml.safe_load(yaml.safe_dump(CONFIG))
    described["name"] = "elsewhere"
    described["output"] = str(folder / "results")
    described["cohort"] |= {
        "patients": str(folder / "patients.tsv"),
        "omics": str(folder / "genes.csv"),
        **cohort,
    }
    described["evaluation"]["bootstrap"] = 100
    path = folder / "other.yaml"
    path.write_text(yaml.safe_dump(described))
    return path


@pytest.fixture(scope="module")
def found(
    package: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], ExternalFolder, Path]:
    folder = tmp_path_factory.mktemp("elsewhere")
    config = other_hospital(folder)
    out = folder / "out"
    given = ["validate-external", "--package", str(package), "--config", str(config)]
    assert main([*given, "--out", str(out)]) == 0
    return json.loads((out / "external_validation.json").read_text()), ExternalFolder(out), config


def metric(rows: dict[str, Any], name: str, part: str = "12") -> dict[str, float]:
    return rows[name][part] if part in rows[name] else rows[name]


def test_more_events_than_stated_are_seen_and_recalibration_takes_them_away(found) -> None:
    record, _, _ = found
    row = record["rows"][record["row"]]
    (ratio,) = [name for name in row if name.startswith("oe") or "observed" in name]
    before = metric(row, ratio)
    assert before["low"] > 1.1
    after = metric(record["recalibrated"]["in_the_large"]["metrics"], ratio)
    assert after["low"] < 1 < after["high"]
    fitted = record["recalibrated"]["in_the_large"]["fitted"]["12"]
    assert fitted["slope"] == 1 and 0.3 < fitted["intercept"] < 1.6  # log 2.5 is 0.92


def test_concordance_is_that_of_another_library(found) -> None:
    record, folder, _ = found
    patients, _ = drawn(7, 300, "H")
    told = pd.read_csv(folder.members, sep="\t")
    own = told[told["model"] == record["row"]]
    column = next(name for name in own if name.startswith("surv_24"))
    mean = own.groupby("patient_id")[column].mean()
    both = patients.set_index("patient_id").loc[mean.index]
    c = concordance_index_censored(both["event"] == 1, both["time"], 1 - mean)[0]
    # Recalibration by the study keeps the order of those with the same inputs.
    assert record["rows"][record["row"]]["harrell_c"]["value"] == pytest.approx(c, abs=0.02)


def test_the_outcomes_of_a_patient_never_reach_his_prediction(found, package, tmp_path) -> None:
    _, folder, _ = found

    def turned(patients: pd.DataFrame) -> pd.DataFrame:
        return patients.assign(event=1 - patients["event"], time=patients["time"].iloc[::-1].values)

    config = api.load_config(other_hospital(tmp_path, turned))
    api.validate_external(package, config, tmp_path / "out", "cpu")
    again = ExternalFolder(tmp_path / "out").members
    assert again.read_bytes() == folder.members.read_bytes()


def test_page_and_tables_say_what_the_record_says(found) -> None:
    record, folder, _ = found
    page = folder.validation_page.read_text()
    assert "Research use only" in page and "elsewhere" in page
    assert "A package holds no ids" in page
    rows = pd.read_csv(folder.metrics, sep="\t")
    own = rows[(rows["metric"] == "harrell_c") & (rows["row"] == record["row"])]
    untouched = own[(own["recalibration"] == "untouched") & own["minus"].isna()]
    assert untouched["value"].tolist() == pytest.approx(
        [record["rows"][record["row"]]["harrell_c"]["value"]]
    )
    fitted = json.loads(folder.recalibration.read_text())
    assert set(fitted) >= {"in_the_large", "slope", "formula", "package"}
    omics = next(one for one in record["inputs"] if one["modality"] == "omics")
    assert omics["present"] == pytest.approx(180, abs=15)
    assert {one["name"] for one in record["subgroups"]} == {
        "with gene expression",
        "without gene expression",
    }


def test_two_validations_are_the_same_bytes(found, package, tmp_path) -> None:
    _, folder, config = found
    api.validate_external(package, api.load_config(config), tmp_path / "out", "cpu")
    for name in ("external_validation.json", "external_validation.html", "recalibration.json"):
        assert (tmp_path / "out" / name).read_bytes() == (folder.root / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"covariates": {"age": {"type": "continuous"}}}, "cohort.covariates has no s"),
        (
            {"covariates": CONFIG["cohort"]["covariates"] | {"sex": {"type": "continuous"}}},
            "sex",
        ),
        (
            {"diagnosis": {"column": "group", "classes": ["stable", "converted"]}},
            "is of the task survival",
        ),
    ],
)
def test_cohorts_that_ask_for_something_else_are_refused(
    package: Path, tmp_path: Path, change: dict[str, Any], fault: str
) -> None:
    path = other_hospital(tmp_path, **change)
    if "diagnosis" in change:
        described = yaml.safe_load(path.read_text())
        described["models"] = [
            {**row, "kind": "logistic" if row["kind"] == "clinical_cox" else row["kind"]}
            for row in described["models"]
        ]
        path.write_text(yaml.safe_dump(described))
    with pytest.raises(UserInputError, match=fault):
        api.validate_external(package, api.load_config(path), tmp_path / "out", "cpu")
    assert not (tmp_path / "out" / "external_validation.json").exists()


def test_nobody_with_the_event_says_so(package: Path, tmp_path: Path) -> None:
    path = other_hospital(tmp_path, lambda patients: patients.assign(event=0))
    with pytest.raises(UserInputError, match="event"):
        api.validate_external(package, api.load_config(path), tmp_path / "out", "cpu")


def test_numbers_of_recalibration_are_finite_or_there_is_a_reason(found) -> None:
    record, _, _ = found
    parts = [one for each in record["recalibrated"].values() for one in each["fitted"].values()]
    assert all(one.get("reason") or np.isfinite(one["intercept"]) for one in parts)
    assert any("intercept" in one for one in parts)
