"""The cohort on disk: complete, valid, reproducible, and with the defects it announces."""

from __future__ import annotations

import json
import re

import numpy as np
import openslide
import pandas as pd
import pytest

from survfuse.config.models import IDENTIFIER
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_file
from survfuse.simulation.cohort import plan_slides, simulate_cohort, truth_summary
from survfuse.simulation.genes import gene_sets
from survfuse.simulation.truth import draw_truth


def read(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Eight patients, the fewest allowed, drawn by two workers."""
    out = tmp_path_factory.mktemp("demo")
    simulate_cohort(8, 3, out, workers=2)
    return out


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The default number of patients, without slides."""
    out = tmp_path_factory.mktemp("tables")
    simulate_cohort(80, 1, out, slides=False)
    return out


def test_same_seed_same_bytes_whatever_the_workers(cohort, tmp_path):
    simulate_cohort(8, 3, tmp_path, workers=1)
    files = sorted(p.relative_to(cohort) for p in cohort.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert len(files) == 6 + 8
    for file in files:
        assert sha256_file(cohort / file) == sha256_file(tmp_path / file), file


def test_every_slide_opens_but_the_truncated_one(cohort):
    announced = json.loads((cohort / "truth.json").read_text())["slides"]
    assert [len(announced[kind]) for kind in ("blank", "truncated", "pen")] == [1, 1, 1]
    refused, without_tissue = [], []
    for row in read(cohort / "slides.tsv").itertuples():
        try:
            slide = openslide.OpenSlide(cohort / row.path)
        except openslide.OpenSlideError:
            refused.append(row.slide_id)
            continue
        assert float(slide.properties["openslide.mpp-x"]) == 0.5
        small = np.asarray(slide.read_region((0, 0), 3, slide.level_dimensions[3]).convert("RGB"))
        if small.min() > 200:
            without_tissue.append(row.slide_id)
    assert refused == announced["truncated"]
    assert without_tissue == announced["blank"]


def test_slide_sheet_fits_the_patients(cohort):
    slides, patients = read(cohort / "slides.tsv"), read(cohort / "patients.tsv")
    assert slides.columns.tolist() == ["slide_id", "patient_id", "path", "mpp"]
    assert slides["slide_id"].is_unique and (slides["mpp"] == "").all()
    assert set(slides["patient_id"]) < set(patients["patient_id"])
    assert slides["patient_id"].value_counts().tolist() == [2, 1, 1, 1, 1, 1, 1]
    assert sorted(p.name for p in (cohort / "slides").iterdir()) == [
        f"{slide}.tif" for slide in slides["slide_id"]
    ]


def test_patient_sheet_is_valid(tables):
    patients = read(tables / "patients.tsv")
    assert patients.columns.tolist() == [
        "patient_id",
        "time",
        "event",
        "site",
        "age",
        "sex",
        "stage",
    ]
    assert len(patients) == 80 and patients["patient_id"].is_unique
    assert all(re.fullmatch(IDENTIFIER, name) for name in patients["patient_id"])
    assert (patients["time"].astype(float) > 0).all()
    assert set(patients["event"]) == {"0", "1"}
    assert set(patients["site"]) == {"North", "East", "South", "West"}
    assert set(patients["sex"]) == {"female", "male"}
    assert set(patients["stage"]) == {"", "I", "II", "III", "IV"}
    assert (patients["age"] == "").sum() == 2 and (patients["stage"] == "").sum() == 3
    ages = patients["age"][patients["age"] != ""].astype(int)
    assert ages.between(30, 92).all()


def test_expression_and_gene_sets_fit_together(tables):
    omics = pd.read_parquet(tables / "omics.parquet")
    assert omics.columns[0] == "patient_id" and len(omics) == 76
    lines = (tables / "gene_sets.gmt").read_text().splitlines()
    sets = {name: genes for name, _, *genes in (line.split("\t") for line in lines)}
    assert sets == gene_sets()
    assert {gene for genes in sets.values() for gene in genes} == set(omics.columns[1:])
    known = json.loads((tables / "truth.json").read_text())
    absent = set(read(tables / "patients.tsv")["patient_id"]) - set(omics["patient_id"])
    assert absent == set(known["without_rna"])


def test_without_slides_there_is_no_slide_sheet(tables):
    assert sorted(p.name for p in tables.iterdir()) == [
        "gene_sets.gmt",
        "omics.parquet",
        "patients.tsv",
        "truth.json",
        "truth.tsv",
    ]


def test_truth_files_agree_with_the_sheets_and_with_each_other(tables):
    truth = pd.read_csv(tables / "truth.tsv", sep="\t")
    patients = read(tables / "patients.tsv")
    assert truth["patient_id"].tolist() == patients["patient_id"].tolist()
    parts = ["morphology", "programme", "shared", "interaction", "clinical"]
    assert truth[parts].sum(axis=1).to_numpy() == pytest.approx(truth["log_hazard"].to_numpy())

    summary = json.loads((tables / "truth.json").read_text())
    months = np.arange(6, 61, 6)
    assert truth.columns[7:].tolist() == [f"surv_{t}" for t in months]
    shape, scale = summary["weibull"]["shape"], summary["weibull"]["scale_months"]
    expected = np.exp(-((months / scale) ** shape) * np.exp(truth[["log_hazard"]].to_numpy()))
    assert truth.iloc[:, 7:].to_numpy() == pytest.approx(expected, rel=1e-9)

    from lifelines.utils import concordance_index

    c = concordance_index(
        patients["time"].astype(float), -truth["log_hazard"], patients["event"].astype(int)
    )
    assert summary["oracle"]["harrell_c"] == pytest.approx(c, abs=1e-12)
    assert summary["harrell_c"]["oracle"] == summary["oracle"]["harrell_c"]
    assert summary["n_events"] == patients["event"].astype(int).sum()


def test_defects_leave_every_patient_something_to_be_judged_by():
    truth = draw_truth(80, 1)
    plan = plan_slides(truth)
    assert len(plan) == 85 and len({spec.entropy for spec in plan}) == 85
    owner = {spec.slide_id: patient for spec, patient in plan.items()}
    slides = truth_summary(truth, list(plan))["slides"]
    assert [len(slides[kind]) for kind in ("blank", "truncated", "pen")] == [1, 1, 5]
    n_slides = dict(zip(truth.patient_id, truth.n_slides, strict=True))
    has_rna = dict(zip(truth.patient_id, truth.has_rna, strict=True))
    assert n_slides[owner[slides["blank"][0]]] == 2
    assert n_slides[owner[slides["truncated"][0]]] == 1
    assert has_rna[owner[slides["truncated"][0]]]
    assert not {*slides["blank"], *slides["truncated"]} & set(slides["pen"])


def test_slides_show_their_patients_morphology():
    truth = draw_truth(80, 1)
    plan = plan_slides(truth)
    share = dict(zip(truth.patient_id, truth.high_grade_share(), strict=True))
    differences = [spec.high_grade_share - share[patient] for spec, patient in plan.items()]
    assert 0.01 < np.std(differences) < 0.03
    assert all(0 < spec.high_grade_share < 1 for spec in plan)


def test_no_workers_is_refused(tmp_path):
    with pytest.raises(UserInputError, match="0 workers"):
        simulate_cohort(8, 1, tmp_path, workers=0)
