"""Importing published TCGA tables: a hand-made one, and the real ones where they are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from survfuse.cohort.check import check_cohort
from survfuse.cohort.checked import Cohort
from survfuse.config.source import PorpoiseSource
from survfuse.config.study import Config
from survfuse.evaluation.follow_up import median_follow_up
from survfuse.published.porpoise import import_porpoise
from survfuse.sheets.problems import SheetError
from survfuse.sheets.text_table import read_sheet
from survfuse.splits.outer_folds import make_splits

TABLE = """\
,case_id,slide_id,age,site,survival_months,censorship,is_female,oncotree_code,train,
0,T-2,T-2-a.svs,63.0,05,24.11,0.0,0.0,LUAD,1.0,-1.5,2,0,1,1,0.7
1,T-1,T-1-a.svs,,2F,3.5,1.0,1.0,LUAD,1.0,0.25,,1,0,0,0.6
2,T-1,T-1-b.svs,,2F,3.5,1.0,1.0,LUAD,0.0,0.25,,1,0,0,0.6
3,T-3,T-3-a.svs,70,05,8,0,,LUAD,1.0,7,0,1,0,1,0.9
""".replace("train,\n", "train,A_rnaseq,B_cnv,B_mut,TTN,os,purity\n")
FOLDS = "fold,set,case_id\n" + "".join(
    f"{fold},{'val' if fold == held else 'train'},{case}\n"
    for fold in range(2)
    for case, held in (("T-1", 0), ("T-2", 1), ("T-3", 1))
)
CLINICAL = (
    "submitter_id\ttumor_stage\nT-1\tstage iiia\nT-2\tnot reported\nT-3\tStage IV\nT-9\tstage i\n"
)
FEATURES = """\
CASE_ID,H & E_ID,AREA_HE,COUNT_HE,DENSITY_HE,os,os_time,dss,case,vital_status
7,7,1.5,100000000,,1,733,1,T-2,Dead
8,8,2.5,4,1,0,106,0,T-1,Alive
9,9,3.5,5,2,0,106,0,T-1,Alive
10,10,4.5,,3,0,106,0,T-7,Alive
"""


@pytest.fixture
def source(tmp_path: Path) -> dict[str, str]:
    files = {"table": TABLE, "folds": FOLDS, "clinical": CLINICAL, "slide_features": FEATURES}
    named = {}
    for name, text in files.items():
        named[name] = str(tmp_path / f"{name}.{'tsv' if name == 'clinical' else 'csv'}")
        Path(named[name]).write_text(text)
    return named


def imported(files: dict[str, str], out: Path) -> Path:
    import_porpoise(PorpoiseSource.model_validate({"kind": "porpoise", **files}), out)
    return out


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_patients(source: dict[str, str], tmp_path: Path) -> None:
    """One row per patient; event = 1 - censorship; stage without substage; missing stays empty."""
    del source["slide_features"]
    sheets = imported(source, tmp_path / "sheets")
    assert text_of(sheets / "patients.tsv") == (
        "patient_id\ttime\tevent\tsite\tage\toncotree_code\tsex\tstage\n"
        "T-1\t3.5\t0\t2F\t\tLUAD\tfemale\tIII\n"
        "T-2\t24.11\t1\t05\t63\tLUAD\tmale\t\n"
        "T-3\t8\t1\t05\t70\tLUAD\t\tIV\n"
    )
    assert text_of(sheets / "folds.tsv") == "patient_id\tfold\nT-1\t0\nT-2\t1\nT-3\t1\n"
    assert not (sheets / "slides.tsv").exists()


def test_stages_that_become_missing_are_named(
    source: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del source["slide_features"]
    Path(source["clinical"]).write_text(
        "submitter_id\ttumor_stage\nT-1\ti/ii nos\nT-2\tnot reported\nT-3\tStage X\nT-9\t0\n"
    )
    imported(source, tmp_path / "sheets")
    assert "'i/ii nos' (1), 'Stage X' (1)" in caplog.text
    assert "not reported" not in caplog.text and "T-9" not in caplog.text


def test_genes(source: dict[str, str], tmp_path: Path) -> None:
    """Unsuffixed binary columns are mutations, but not an outcome, and not a real number."""
    sheets = imported({"table": source["table"]}, tmp_path / "sheets")
    genes = pd.read_parquet(sheets / "omics.parquet")
    expected = pd.DataFrame(
        {
            "patient_id": ["T-1", "T-2", "T-3"],
            "A_rnaseq": [0.25, -1.5, 7.0],
            "B_cnv": [np.nan, 2.0, 0.0],
            "B_mut": [1.0, 0.0, 1.0],
            "TTN_mut": [0.0, 1.0, 0.0],
        }
    ).astype(dict.fromkeys(["A_rnaseq", "B_cnv", "B_mut", "TTN_mut"], np.float32))
    pd.testing.assert_frame_equal(genes, expected)
    assert "stage" not in read_sheet(sheets / "patients.tsv", []).rows


def test_slide_features(source: dict[str, str], tmp_path: Path) -> None:
    """Paired patients only; features by stain only, so that no outcome can be one."""
    sheets = imported(source, tmp_path / "sheets")
    assert text_of(sheets / "slides.tsv") == (
        "slide_id\tpatient_id\tpath\tmpp\tfeatures\n"
        "T-1-8\tT-1\t\t\tfeatures/T-1-8.h5\n"
        "T-1-9\tT-1\t\t\tfeatures/T-1-9.h5\n"
        "T-2-7\tT-2\t\t\tfeatures/T-2-7.h5\n"
    )
    assert read_sheet(sheets / "patients.tsv", []).rows["patient_id"].tolist() == ["T-1", "T-2"]
    assert pd.read_parquet(sheets / "omics.parquet")["patient_id"].tolist() == ["T-1", "T-2"]
    assert text_of(sheets / "folds.tsv") == "patient_id\tfold\nT-1\t0\nT-2\t1\n"
    with h5py.File(sheets / "features" / "T-2-7.h5") as file:
        # DENSITY is missing here and left out everywhere; COUNT is missing only on a foreign slide
        np.testing.assert_array_equal(file["features"], np.array([[1.5, 1e8]], dtype=np.float32))
        np.testing.assert_array_equal(file["coords"], [[0, 0]])
        assert file["features"].dtype == np.float32 and set(file) == {"features", "coords"}
    assert len(list((sheets / "features").iterdir())) == 3


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("table", "case_id,slide_id", "case,slide_id", "column is missing"),
        ("table", "T-1-b.svs,,2F,3.5", "T-1-b.svs,,2F,4.5", "differs from the patient's first"),
        ("table", "24.11,0.0", "24.11,2", "is neither 0 nor 1"),
        ("table", "1.0,-1.5", "1.0,high", "is not a number"),
        ("table", "T-3,", "../T-3,", "has '.' as character 1"),
        ("folds", "set,case_id", "part,case_id", "column is missing"),
        ("clinical", "tumor_stage", "stage", "column is missing"),
        ("clinical", "T-2\t", "T-1\t", "repeats row 2"),
        ("slide_features", "H & E_ID", "slide", "column is missing"),
        ("slide_features", "9,9,3.5", "8,8,3.5", "repeats row 3"),
        ("slide_features", "8,8,2.5", "8,../8,2.5", "has '.' as character 5"),
        ("slide_features", "8,8,2.5", "8,8,inf", "is not a finite number"),
        ("slide_features", ",1.5,100000000,,", ",,,,", "no feature (_HE or _FFPE) is measured"),
    ],
)
def test_bad_sources(
    source: dict[str, str], tmp_path: Path, file: str, old: str, new: str, fault: str
) -> None:
    path = Path(source[file])
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SheetError) as caught:
        imported(source, tmp_path / "sheets")
    assert any(fault in p.problem and p.file == str(path) for p in caught.value.problems)
    assert not (tmp_path / "sheets" / "patients.tsv").exists()


def config_of(real_data: Path, out: Path, cohort: str, **source: str) -> Config:
    tables = real_data / "tcga"
    named: dict[str, Any] = {
        "kind": "porpoise",
        "table": str(tables / f"porpoise/tcga_{cohort}_all_clean.csv.gz"),
        "folds": str(tables / f"porpoise/splits_5fold_tcga_{cohort}.csv.gz"),
        "clinical": str(tables / "clinical_gdc_multisurv.tsv.gz"),
    }
    return Config.model_validate(
        {
            "name": cohort,
            "output": str(out),
            "source": named | {name: str(tables / file) for name, file in source.items()},
            "models": [{"name": "clinical_cox", "kind": "clinical_cox"}],
            "omics": {"suffixes": {"rna": "_rnaseq", "cnv": "_cnv", "mut": "_mut"}},
            "cohort": {
                "site": "site",
                "covariates": {
                    "age": {"type": "continuous"},
                    "sex": {"type": "categorical"},
                    "stage": {"type": "ordinal", "levels": ["I", "II", "III", "IV"]},
                },
            },
        }
    )


def real_cohort(config: Config) -> Cohort:
    assert isinstance(config.source, PorpoiseSource)
    import_porpoise(config.source, config.output / "sheets")
    return check_cohort(config)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "patients", "deaths", "follow_up", "genes"),
    [
        ("blca", 373, 169, 29.5, {"rna": 1554, "cnv": 256, "mut": 371}),
        ("luad", 453, 158, 28.6, {"rna": 1555, "cnv": 517, "mut": 864}),
    ],
)
def test_real_cohorts(
    real_data: Path,
    tmp_path: Path,
    name: str,
    patients: int,
    deaths: int,
    follow_up: float,
    genes: dict[str, int],
) -> None:
    config = config_of(real_data, tmp_path, name)
    cohort = real_cohort(config)
    assert (len(cohort.outcomes), cohort.outcomes["event"].sum()) == (patients, deaths)
    assert median_follow_up(cohort.outcomes) == pytest.approx(follow_up, abs=0.06)
    assert cohort.facts["genes"] == genes and len(cohort.tables["omics"].index) == patients
    assert cohort.folds is not None
    splits = make_splits(cohort.outcomes, cohort.sites, config.splits, cohort.folds)
    long = pd.read_csv(real_data / "tcga" / "porpoise" / f"splits_5fold_tcga_{name}.csv.gz")
    published = long[long["set"] == "val"].set_index("case_id")["fold"]
    assert splits.set_index("patient_id")["fold"].to_dict() == published.to_dict()


@pytest.mark.slow
def test_real_paired_cohort(real_data: Path, tmp_path: Path) -> None:
    """422 LUAD patients have slide features and genes; TCGA-CDR agrees with the outcome."""
    features = "wsi_features_hif/luad.hifs.csv.gz"
    cohort = real_cohort(config_of(real_data, tmp_path, "luad", slide_features=features))
    assert len(cohort.outcomes) == 422
    everybody = set(cohort.outcomes["patient_id"])
    assert set(cohort.tables["slides"]["patient_id"]) == everybody
    assert set(cohort.tables["omics"].index) == everybody
    assert len(cohort.tables["slides"]) == 478
    tokens = [h5py.File(path)["features"][0] for path in cohort.tables["slides"]["features"]]
    assert {token.shape for token in tokens} == {(535,)}  # 72 of 607 are missing on two slides
    values = np.array(tokens)
    assert np.isfinite(values).all()
    survival = pd.read_csv(real_data / "tcga" / features).drop_duplicates("case").set_index("case")
    outcomes = cohort.outcomes.set_index("patient_id")
    survival = survival.loc[outcomes.index]
    assert (survival["os"] == outcomes["event"]).all()
    time = survival["os_time"].to_numpy()
    known = np.isfinite(time)
    assert np.corrcoef(time[known], outcomes["time_months"][known])[0, 1] > 0.999
    by_slide = cohort.tables["slides"]["patient_id"].map(survival["os_time"]).to_numpy()
    known = np.isfinite(by_slide)
    for column in values.T[:, known]:
        assert abs(np.corrcoef(column, by_slide[known])[0, 1]) < 0.5
