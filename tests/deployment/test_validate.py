"""A package that is checked on another cohort, from the sheets to the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from deployment_fixture import CLASSES, drawn, finished_study
from survfuse import api
from survfuse.artifacts.package import open_package
from survfuse.artifacts.package_layout import ExternalFolder
from survfuse.cli.main import main
from survfuse.core.errors import UserInputError
from survfuse.deployment.freeze import freeze_study
from survfuse.deployment.inputs import NewSheets
from survfuse.deployment.predict import predict_new
from survfuse.reporting import wording

PATIENTS = 150


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of survival, with its package beside it."""
    folder = tmp_path_factory.mktemp("study")
    freeze_study(finished_study(folder), folder / "package", archive=False)
    return folder


@pytest.fixture(scope="module")
def validated(study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The folder of another cohort, and what was found there; it wrote to `found`."""
    folder = tmp_path_factory.mktemp("other")
    config = other_cohort(study, folder)
    main(["validate-external", "--package", str(study / "package"), "--config", str(config),
          "--out", str(folder / "found")])  # fmt: skip
    return folder, json.loads(ExternalFolder(folder / "found").validation.read_text())


def other_cohort(study: Path, folder: Path, **cohort: Any) -> Path:
    """The configuration of another cohort in a folder, of whom a third has no genes."""
    patients, genes = drawn(7, PATIENTS, "Q")
    folder.mkdir(parents=True, exist_ok=True)
    patients = patients.rename(columns={"time": "months", "event": "dead"})
    patients.to_csv(folder / "patients.tsv", sep="\t", index=False)
    genes.iloc[: 2 * PATIENTS // 3].to_csv(folder / "genes.csv", index=False)
    described = yaml.safe_load((study / "config.yaml").read_text())
    described["name"] = "other_hospital"
    described["cohort"] |= {
        "patients": str(folder / "patients.tsv"),
        "omics": str(folder / "genes.csv"),
        "endpoint": {"time": "months", "event": "dead"},
        **cohort,
    }
    path = folder / "other.yaml"
    path.write_text(yaml.safe_dump(described))
    return path


def refused(study: Path, folder: Path, config: Path) -> str:
    """What is said of a configuration that cannot be used."""
    with pytest.raises(UserInputError) as error:
        api.validate_external(study / "package", api.load_config(config), folder / "found")
    return str(error.value)


def test_every_file_is_written_and_the_page_says_what_pages_may(
    validated: tuple[Path, dict],
) -> None:
    folder, record = validated
    files = ExternalFolder(folder / "found")
    page = files.validation_page.read_text()
    assert wording.lint(page) == []
    assert "http://" not in page.replace("http://www.w3.org", "") and "src=" not in page
    assert record["schema"] == "survfuse/external_validation/1"
    text = files.validation.read_text()
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert record["cohort"]["n_patients"] == PATIENTS
    assert record["cohort"]["n_events"] > 80
    table = pd.read_csv(files.metrics, sep="\t")
    ours = table[(table["row"] == "survfuse") & (table["recalibration"] == "untouched")]
    c = ours[(ours["metric"] == "harrell_c") & ours["minus"].isna()]["value"].item()
    assert c == pytest.approx(record["rows"]["survfuse"]["harrell_c"]["value"])
    stored = json.loads(files.recalibration.read_text())
    assert set(stored["in_the_large"]) == {"12", "24"}
    assert stored["in_the_large"]["24"]["n"] == PATIENTS
    assert stored["package"]["sha256"] == record["package"]["sha256"]
    for name in ("metrics", "recalibrated", "inputs", "subgroups"):
        assert (files.root / "tables" / f"{name}.csv").is_file()
    assert (files.root / "figures" / "calibration.svg").is_file()


def test_what_is_scored_is_what_predict_says(
    study: Path, validated: tuple[Path, dict], tmp_path: Path
) -> None:
    folder, record = validated
    sheets = NewSheets(folder / "patients.tsv", {"omics": folder / "genes.csv"})
    records = predict_new(open_package(study / "package"), sheets, tmp_path)
    patients = pd.read_csv(folder / "patients.tsv", sep="\t").set_index("patient_id")
    patients = patients.loc[[one["patient_id"] for one in records]]
    risk = np.array([one["estimates"]["horizons"][1]["risk"] for one in records])
    # Nobody was lost before 12 months, so that the error by then is known.
    early = np.array([one["estimates"]["horizons"][0]["risk"] for one in records])
    happened = (patients["months"] <= 12) & (patients["dead"] == 1)
    assert ((patients["months"] >= 12) | happened).all(), "the premise of the test"
    brier = record["rows"]["survfuse"]["brier"]["12"]["value"]
    assert brier == pytest.approx(np.mean((early - happened) ** 2))
    time, dead = patients["months"].to_numpy(), patients["dead"].to_numpy() == 1
    first = dead[:, None] & (time[:, None] < time)
    wins = 0.5 * (1 + np.sign(risk[:, None] - risk))
    c = record["rows"]["survfuse"]["harrell_c"]["value"]
    assert c == pytest.approx((first * wins).sum() / first.sum(), abs=1e-3)


def test_outcomes_do_not_reach_predictions(study: Path, tmp_path: Path) -> None:
    members = []
    for name in ("as_it_is", "shuffled"):
        config = other_cohort(study, tmp_path / name)
        path = tmp_path / name / "patients.tsv"
        patients = pd.read_csv(path, sep="\t", dtype=str)
        if name == "shuffled":
            patients["months"] = patients["months"].to_numpy()[::-1]
            patients["dead"] = patients["dead"].to_numpy()[::-1]
        patients.to_csv(path, sep="\t", index=False)
        api.validate_external(study / "package", api.load_config(config), tmp_path / name / "out")
        members.append(ExternalFolder(tmp_path / name / "out").members.read_bytes())
    assert members[0] == members[1]


def test_inputs_are_compared_with_the_study(study: Path, validated: tuple[Path, dict]) -> None:
    _, record = validated
    measured = len(pd.read_csv(study / "genes.csv"))
    clinical, genes = record["inputs"]
    assert (clinical["modality"], clinical["present"]) == ("clinical", PATIENTS)
    assert genes["present"] == 2 * PATIENTS // 3
    assert (genes["present_in_study"], genes["n_in_study"]) == (measured, 120)
    with_genes, without = record["subgroups"]
    assert (with_genes["n"], without["n"]) == (100, 50)
    assert any("holds no ids" in note for note in record["notes"])


def test_what_the_study_found_stands_beside_it(study: Path, validated: tuple[Path, dict]) -> None:
    folder, record = validated
    kept = json.loads((study / "package" / "performance.json").read_text())
    assert record["study"] == kept
    page = ExternalFolder(folder / "found").validation_page.read_text()
    found = kept["rows"]["survfuse"]["metrics"]["harrell_c"]["found"]["value"]
    assert f">{found:.2f}<" in page
    assert record["not_as_in_study"].keys() >= {"ibs"}


def test_another_task_is_refused(study: Path, tmp_path: Path) -> None:
    config = other_cohort(study, tmp_path)
    described = yaml.safe_load(config.read_text())
    described["cohort"] |= CLASSES
    described["models"] = [{"name": "logistic", "kind": "logistic"}]
    described["evaluation"] |= {"reference": "logistic"}
    described["report"] |= {"model": "logistic"}
    config.write_text(yaml.safe_dump(described))
    said = refused(study, tmp_path, config)
    assert "cohort.diagnosis is set" in said and "task survival" in said


def test_covariates_must_be_those_of_the_study(study: Path, tmp_path: Path) -> None:
    covariates = yaml.safe_load((study / "config.yaml").read_text())["cohort"]["covariates"]
    without = {name: one for name, one in covariates.items() if name != "stage"}
    said = refused(study, tmp_path, other_cohort(study, tmp_path, covariates=without))
    assert "cohort.covariates has no stage" in said and "declare it" in said
    others = {**covariates, "age": {"type": "categorical"}}
    said = refused(study, tmp_path, other_cohort(study, tmp_path, covariates=others))
    assert "cohort.covariates.age is categorical, in the study it was continuous" in said
    leaking = {"time": "months", "event": "sex", "event_value": "male", "censored_value": "female"}
    said = refused(study, tmp_path, other_cohort(study, tmp_path, endpoint=leaking))
    assert "sex" in said and "outcome" in said


def test_outcomes_that_are_missing_or_wrong_are_named(study: Path, tmp_path: Path) -> None:
    config = other_cohort(study, tmp_path)
    patients = pd.read_csv(tmp_path / "patients.tsv", sep="\t", dtype=str)
    patients.loc[4, "dead"] = "perhaps"
    patients.to_csv(tmp_path / "patients.tsv", sep="\t", index=False)
    said = refused(study, tmp_path, config)
    assert "perhaps" in said and "6" in said  # the row of the sheet
    patients.drop(columns="dead").to_csv(tmp_path / "patients.tsv", sep="\t", index=False)
    assert "dead" in refused(study, tmp_path, config)


def test_a_covariate_that_nobody_has_counts_as_missing(study: Path, tmp_path: Path) -> None:
    config = other_cohort(study, tmp_path)
    patients = pd.read_csv(tmp_path / "patients.tsv", sep="\t", dtype=str)
    patients.assign(stage="").to_csv(tmp_path / "patients.tsv", sep="\t", index=False)
    record = api.validate_external(study / "package", api.load_config(config), tmp_path / "found")
    assert record["rows"]["survfuse"]["harrell_c"]["value"] > 0.6


@pytest.mark.slow
def test_diagnoses_are_checked_too(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    freeze_study(finished_study(study, "diagnosis"), study / "package", archive=False)
    config = other_cohort(study, tmp_path / "other")
    record = api.validate_external(study / "package", api.load_config(config), tmp_path / "found")
    row = record["rows"]["survfuse"]
    assert row["auroc"]["value"] > 0.8
    assert record["recalibrated"]["in_the_large"]["metrics"]["observed_expected"]["value"] == (
        pytest.approx(1, abs=0.02)
    )
    page = ExternalFolder(tmp_path / "found").validation_page.read_text()
    assert wording.lint(page) == []
    described = yaml.safe_load(config.read_text())
    described["cohort"]["diagnosis"]["classes"] = ["converted", "stable"]
    config.write_text(yaml.safe_dump(described))
    with pytest.raises(UserInputError, match=r"cohort\.diagnosis\.classes is converted, stable"):
        api.validate_external(study / "package", api.load_config(config), tmp_path / "again")
