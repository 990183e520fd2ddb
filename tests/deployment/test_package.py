"""A study that is frozen, moved, and applied to patients who were not in it."""

from __future__ import annotations

import json
import shutil
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deployment_fixture import GENES, finished_study, new_sheets
from survfuse.artifacts.layout import ResultsFolder
from survfuse.artifacts.package import open_package
from survfuse.artifacts.package_layout import NewPatientsFolder, PackageFolder
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.deployment.freeze import freeze_study
from survfuse.deployment.inputs import NewSheets
from survfuse.deployment.predict import predict_new
from survfuse.reporting.new_patients.style import Style

ON = date(2026, 1, 2)
PAGES_ALONE = Style(documents=False)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return finished_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def package(study: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return freeze_study(study, tmp_path_factory.mktemp("packages") / "study")


def predicted(package: Path, folder: Path, patients: pd.DataFrame, genes: pd.DataFrame | None):
    """Records of new patients by id, from sheets that are written now."""
    patients.to_csv(folder / "new.tsv", sep="\t", index=False)
    brought = {}
    if genes is not None:
        brought["omics"] = folder / "new_genes.csv"
        genes.to_csv(brought["omics"], index=False)
    sheets = NewSheets(folder / "new.tsv", brought)
    found = predict_new(open_package(package), sheets, folder / "new", on=ON, style=PAGES_ALONE)
    return {record["patient_id"]: record for record in found}


def last_risk(record: dict) -> float:
    return record["estimates"]["horizons"][-1]["risk"]


def sentences(record: dict) -> str:
    return " ".join(remark["sentence"] for remark in record["remarks"])


def test_patients_of_the_study_get_the_predictions_of_the_study(
    study: Config, package: Path, tmp_path: Path
) -> None:
    cohort = Path(str(study.cohort.patients)).parent
    sheets = NewSheets(cohort / "patients.tsv", {"omics": cohort / "genes.csv"})
    predict_new(open_package(package), sheets, tmp_path, on=ON, style=PAGES_ALONE)
    members = pd.read_csv(NewPatientsFolder(tmp_path).members, sep="\t")
    for row in ("survfuse", "clinical_cox"):
        own = pd.read_csv(ResultsFolder(study.output).predictions.table(row), sep="\t")
        keys = ["patient_id", "repeat", "fold"]
        both = own.merge(members[members["model"] == row], on=keys, suffixes=("", "_new"))
        assert len(both) == len(own) == 240  # two repeats
        columns = [name for name in own.columns if name == "risk" or name.startswith("surv_")]
        for name in columns:
            assert np.allclose(both[name], both[f"{name}_new"], atol=1e-6, rtol=0, equal_nan=True)


def test_new_patients_get_a_record_each(package: Path, tmp_path: Path) -> None:
    patients, genes = new_sheets(tmp_path)
    records = predicted(package, tmp_path, patients, genes.iloc[1:])
    folder = NewPatientsFolder(tmp_path / "new")
    without, complete = records[genes.iloc[0, 0]], records[genes.iloc[1, 0]]
    assert json.loads(folder.prediction(complete["patient_id"]).read_text()) == complete
    assert set(records) == set(patients["patient_id"])
    assert {one["modality"]: one["state"] for one in without["inputs"]} == {
        "clinical": "present",
        "omics": "missing",
    }
    assert set(complete["without_modality"]) == {"clinical", "omics"}
    assert set(without["without_modality"]) == {"clinical"}
    for record in records.values():
        early, late = record["estimates"]["horizons"]
        assert 0 < early["low"] <= early["risk"] <= early["high"] < 1
        assert late["risk"] >= early["risk"]
    free = complete["estimates"]["event_free_bound"]
    assert free["share"] == 0.9 and free["n"] == 120
    assert free["months"] is None or 0 < free["months"] <= free["until"]
    late = without["estimates"]["horizons"][-1]
    assert late["high"] - late["low"] > late["as_is_high"] - late["as_is_low"]
    # As the estimate of a patient whose genes are withheld, so that of one who has none.
    alone = predicted(package, tmp_path / "new", patients, None)[complete["patient_id"]]
    withheld = complete["without_modality"]["omics"]["horizons"][-1]["risk"]
    assert last_risk(alone) == pytest.approx(withheld, abs=1e-9)
    table = pd.read_csv(folder.table, sep="\t")
    assert len(table) == 2 * len(records)


def test_estimates_follow_what_raises_the_risk(package: Path, tmp_path: Path) -> None:
    patients, genes = new_sheets(tmp_path, 2)
    base = patients.iloc[[0, 0]].assign(
        patient_id=["low", "high"], age=[45, 75], stage=["I", "III"]
    )
    same = pd.concat([genes.iloc[[0]], genes.iloc[[0]]]).assign(patient_id=["low", "high"])
    records = predicted(package, tmp_path, base, same)
    assert last_risk(records["high"]) > last_risk(records["low"]) + 0.2
    free = {name: records[name]["estimates"]["event_free_bound"]["months"] for name in records}
    assert free["high"] < (free["low"] or np.inf)
    moved = {
        one["modality"]: one["log_hazard"] for one in records["high"]["contributions"]["modalities"]
    }
    assert moved["clinical"] > 0


def test_the_order_of_patients_and_columns_does_not_matter(package: Path, tmp_path: Path) -> None:
    patients, genes = new_sheets(tmp_path)
    first = predicted(package, tmp_path, patients, genes)
    (tmp_path / "other").mkdir()
    turned = genes.iloc[::-1][["patient_id", *GENES[::-1]]].assign(UNKNOWN_GENE=1.0)
    second = predicted(package, tmp_path / "other", patients.iloc[::-1], turned)
    for patient, record in first.items():
        assert last_risk(second[patient]) == pytest.approx(last_risk(record), abs=1e-9)


def test_patients_who_are_no_longer_listed_leave_nothing_behind(
    package: Path, tmp_path: Path
) -> None:
    patients, genes = new_sheets(tmp_path)
    predicted(package, tmp_path, patients, genes)
    folder, gone = NewPatientsFolder(tmp_path / "new"), patients["patient_id"].iloc[0]
    foreign = [folder.prediction("mine"), folder.page("mine"), folder.root / "notes.txt"]
    for path in foreign:
        path.write_text("{}")
    predicted(package, tmp_path, patients.iloc[1:], genes[genes["patient_id"] != gone])
    left = {path.name for path in folder.root.rglob("*") if path.is_file() and gone in path.name}
    assert not left and all(path.read_text() == "{}" for path in foreign)
    assert gone not in folder.index.read_text()
    assert folder.page(patients["patient_id"].iloc[1]).is_file()


def test_what_is_unusual_is_said(package: Path, tmp_path: Path) -> None:
    patients, genes = new_sheets(tmp_path)
    patients = patients.assign(age=[140, *patients["age"][1:]], sex=["other", *patients["sex"][1:]])
    records = predicted(package, tmp_path, patients.drop(columns="stage"), genes.drop(columns="G3"))
    odd, usual = (records[patient] for patient in patients["patient_id"][:2])
    assert "age is 140" in sentences(odd) and "extrapolating" in sentences(odd)
    assert "sex is 'other', which no patient of the study had" in sentences(odd)
    assert "extrapolating" not in sentences(usual) and "sex is" not in sentences(usual)
    for record in records.values():
        assert "stage is not in the patient sheet" in sentences(record)
        assert "1 of 12 genes that the models read were not measured" in sentences(record)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda genes: genes.rename(columns=lambda name: name.replace("G", "X")), "holds 0 of the"),
        (lambda genes: genes.assign(**{g: 2 ** genes[g] * 100 for g in GENES}), "another scale"),
    ],
)
def test_genes_that_the_models_cannot_read_are_refused(
    package: Path, tmp_path: Path, change, message: str
) -> None:
    patients, genes = new_sheets(tmp_path)
    with pytest.raises(UserInputError, match=message):
        predicted(package, tmp_path, patients, change(genes))


def test_a_patient_on_another_scale_than_the_others_is_flagged(
    package: Path, tmp_path: Path
) -> None:
    patients, genes = new_sheets(tmp_path)
    genes.loc[genes.index[0], GENES] *= 3
    records = predicted(package, tmp_path, patients, genes)
    assert "distributed otherwise" in sentences(records[genes.iloc[0, 0]])
    assert "distributed otherwise" not in sentences(records[genes.iloc[1, 0]])


def test_a_patient_unlike_those_of_the_study_is_flagged(package: Path, tmp_path: Path) -> None:
    patients, genes = new_sheets(tmp_path)
    genes.loc[genes.index[0], GENES] += np.array([2.5, -2.5] * 6)
    records = predicted(package, tmp_path, patients, genes)
    odd, usual = (records[patient] for patient in genes["patient_id"][:2])
    assert odd["novelty_p"]["omics"] < 0.01 < usual["novelty_p"]["omics"]
    assert "Unlike the study: the gene expression" in sentences(odd)
    assert "Unlike" not in sentences(usual)


def test_levels_that_are_none_are_refused(package: Path, tmp_path: Path) -> None:
    patients, genes = new_sheets(tmp_path)
    with pytest.raises(UserInputError, match="is not a level"):
        predicted(package, tmp_path, patients.assign(stage="IV"), genes)


def test_a_sheet_that_the_study_had_none_of_is_refused(package: Path, tmp_path: Path) -> None:
    patients, _ = new_sheets(tmp_path)
    patients.to_csv(tmp_path / "new.tsv", sep="\t", index=False)
    sheets = NewSheets(tmp_path / "new.tsv", {"slides": tmp_path / "slides.tsv"})
    with pytest.raises(UserInputError, match="had no slides"):
        predict_new(open_package(package), sheets, tmp_path / "new")


def test_a_package_survives_a_move_and_names_no_place(package: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(package, moved)
    patients, genes = new_sheets(tmp_path)
    first = predicted(package, tmp_path, patients, genes)
    (tmp_path / "other").mkdir()
    assert predicted(moved, tmp_path / "other", patients, genes) == first
    text = "".join(path.read_text() for path in package.rglob("*.json"))
    assert str(package.parents[1]) not in text and "P000" not in text


def test_a_changed_file_is_refused(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    weights = PackageFolder(copy).models.fit("survfuse", "r0f0").weights
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserInputError, match="was changed after the package was made"):
        open_package(copy)
    weights.unlink()
    with pytest.raises(UserInputError, match="is missing"):
        open_package(copy)


@pytest.mark.parametrize("other", ["1.0.0", "0.1.0", ""])
def test_another_version_is_refused(package: Path, tmp_path: Path, other: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    record = json.loads(PackageFolder(copy).record.read_text())
    PackageFolder(copy).record.write_text(json.dumps(record | {"survfuse": other}))
    with pytest.raises(UserInputError, match="install that version"):
        open_package(copy)


def test_a_file_outside_is_never_looked_at(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    record = json.loads(PackageFolder(copy).record.read_text())
    record["files"] = {"../secret.json": "0" * 64}
    (tmp_path / "secret.json").write_text("{}")
    PackageFolder(copy).record.write_text(json.dumps(record))
    with pytest.raises(UserInputError, match="not whole"):
        open_package(copy)


def test_the_archive_holds_the_package_and_is_the_same_twice(
    study: Config, package: Path, tmp_path: Path
) -> None:
    archive = package.with_name("study.zip")
    again = freeze_study(study, tmp_path / "study")
    assert again.with_name("study.zip").read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "unzipped")
    assert open_package(tmp_path / "unzipped" / "study").row == "survfuse"
    with pytest.raises(UserInputError, match="unzip it"):
        open_package(archive)


def test_no_folder_of_something_else_is_overwritten(study: Config, tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(UserInputError, match="is no package; name another folder"):
        freeze_study(study, tmp_path)
    assert (tmp_path / "thesis.docx").is_file()


@pytest.mark.parametrize(
    ("row", "message"), [("permuted", "row to compare with"), ("none", "was evaluated")]
)
def test_rows_that_may_not_predict(study: Config, tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        freeze_study(study, tmp_path / "p", row)


def test_a_diagnosis_is_packaged_alike(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    config = finished_study(tmp_path / "study", "diagnosis")
    package = freeze_study(config, tmp_path / "package")
    patients, genes = new_sheets(tmp_path)
    records = predicted(package, tmp_path, patients, genes)
    for record in records.values():
        stable, converted = record["estimates"]["classes"]
        assert stable["probability"] + converted["probability"] == pytest.approx(1)
        assert converted["lowest_of_models"] <= converted["probability"]
        assert record["estimates"]["horizons"] == []
