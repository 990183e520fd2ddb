"""Any modality may be held by nobody, one, two or three patients, wherever the folds put them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pandas as pd
import pytest

from scarce_fixture import IDS, finish, prepare, row_of, run, train_and_predict, write_cohort

FIRST, SECOND = IDS[0::2], IDS[1::2]  # tested in fold 0, and in fold 1


def test_three_slides_of_one_fold(tmp_path: Path) -> None:
    """Fold 0 tests all who have slides, with models that were fitted without any."""
    evaluation = run(write_cohort(tmp_path, slides=FIRST[:3]))
    assert row_of(evaluation, "cmta")["read"] == {"slides": 0, "omics": 24}
    abmil = row_of(evaluation, "abmil")
    assert abmil["n_read"] == 0
    (sentence,) = abmil["not_estimable"]
    assert "fold 1" in sentence
    assert "no training patient has slides" in sentence
    assert sentence in evaluation["notes"]
    assert not evaluation["left_out"]
    with h5py.File(tmp_path / "out/predictions/cmta.attention.h5") as file:
        assert all("slides" not in file[patient] for patient in FIRST[:3])
        assert "groups" in file["P00"]
    report = tmp_path / "out/report"
    said = "read the slides of no patient: in no fold was somebody who has them tested"
    assert said in (report / "index.html").read_text()
    page = (report / "patients/P00.html").read_text()
    assert "not read: the model of this fold had nobody else with it" in page
    assert "this patient has slides, but the model of this fold had no training patient" in page
    assert "held as they are" not in page
    assert "Gene groups by attention" not in page  # all genes are one group: nothing to compare
    other = (report / "patients/P01.html").read_text()
    assert "nobody else" not in other and "no training patient who" not in other


@pytest.mark.slow
@pytest.mark.parametrize("held", [[], FIRST[:1], FIRST[:2], [FIRST[0], SECOND[0]]], ids=len)
def test_slides_of_hardly_anybody(held: list[str], tmp_path: Path) -> None:
    evaluation = run(write_cohort(tmp_path, slides=held or None))
    left_out = {one["model"] for one in evaluation["left_out"]}
    if len(held) < 2:  # one patient teaches nothing
        assert left_out >= {"abmil", "slides_alone"}
    assert row_of(evaluation, "snn")["n_read"] == 24
    assert row_of(evaluation, "clinical_cox")["read"] == {"clinical": 24}


@pytest.mark.slow
@pytest.mark.parametrize("held", [SECOND[:1], SECOND[:2], [*FIRST[:1], *SECOND[:2]]], ids=len)
def test_genes_of_hardly_anybody(held: list[str], tmp_path: Path) -> None:
    evaluation = run(write_cohort(tmp_path, omics=held))
    assert row_of(evaluation, "abmil")["n_read"] == 24
    assert row_of(evaluation, "cmta")["n_read"] == 24


@pytest.mark.slow
def test_covariates_of_hardly_anybody(tmp_path: Path) -> None:
    evaluation = run(write_cohort(tmp_path, clinical=FIRST[:2]))
    told = {one["model"]: one["sentence"] for one in evaluation["left_out"]}
    cox = [row for row in evaluation["rows"] if row["model"] == "clinical_cox"]
    assert "clinical_cox" in told or cox[0]["not_estimable"]
    assert row_of(evaluation, "cmta")["n_read"] == 24


@pytest.mark.slow
def test_slides_of_validation_patients_alone(tmp_path: Path) -> None:
    """Nothing is fitted on those who only stop the training."""
    first = write_cohort(tmp_path / "all")
    prepare(first)
    train = pd.read_csv(tmp_path / "all/out/splits/r0f0/train.tsv", sep="\t")
    validation = train.loc[train["role"] == "validation", "patient_id"].tolist()
    path = write_cohort(tmp_path / "validation", slides=[*validation, *FIRST])
    shared = prepare(path)
    train_and_predict(path, shared)
    evaluation = finish(path, shared)
    fit = json.loads((tmp_path / "validation/out/models/abmil/r0f0/fit.json").read_text())
    assert "no training patient has slides" in fit["not_estimable"]
    assert any("fold 1" in sentence for sentence in row_of(evaluation, "abmil")["not_estimable"])
