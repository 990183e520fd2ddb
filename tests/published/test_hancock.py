"""Importing HANCOCK: a small directory of its layout, and the real one where it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from survfuse.cli.main import main
from survfuse.cohort.check import check_cohort
from survfuse.cohort.checked import Cohort
from survfuse.config.source import HancockSource
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.evaluation.follow_up import median_follow_up
from survfuse.modalities.omics.matrix import build_matrix
from survfuse.published.hancock import import_hancock
from survfuse.published.hancock_codes import BLOOD, CELL_DENSITY, CLINICAL, PATHOLOGICAL, STAINS
from survfuse.sheets.problems import SheetError

ROOT = Path(__file__).parents[2]
IDS = [f"{number:03}" for number in range(1, 13)]
WITHOUT_BLOOD = {"002", "004"}
WITHOUT_IMAGES = {"003", "004"}
WITHOUT_FOLLOW_UP = "005"  # of the recurrence-free kind: the event came before treatment
WIDTH = 6
Tables = dict[str, pd.DataFrame]


def tables() -> Tables:
    """Twelve patients; those with an even number died."""
    n = range(1, 13)
    targets = {
        "recurrence": ["yes" if i == 7 else "no" for i in n],
        "days_to_recurrence": ["50.0" if i == 7 else "" for i in n],
        "survival_status": ["living" if i % 2 else "deceased" for i in n],
        "survival_status_with_cause": ["living" if i % 2 else "deceased" for i in n],
        "days_to_last_information": [str(100 * i + i * i) for i in n],
        "rfs_event": ["1" if i % 2 == 0 or i in (5, 7) else "0" for i in n],
        "days_to_rfs_event": ["-3" if i == 5 else str(90 * i + i * i) for i in n],
    }
    clinical = {
        "sex": [str(i % 3 % 2) for i in n],
        "primarily_metastasis": ["1.0" if i == 7 else "0.0" for i in n],
        "smoking_status": [str(i % 4) for i in n],
        "age_at_initial_diagnosis": [str(50 + 7 * i % 23) for i in n],
    }
    pathological = {
        "perinodal_invasion": ["" if i < 3 else f"{i // 2 % 2}.0" for i in n],
        "lymphovascular_invasion_L": [str(i % 5 // 4) for i in n],
        "vascular_invasion_V": [str(i % 7 // 6) for i in n],
        "perineural_invasion_Pn": [str(i % 3 // 2) for i in n],
        "carcinoma_in_situ": [str(i // 4 % 2) for i in n],
        "primary_tumor_site": [str(i % 5) for i in n],
        "grading": [str(i % 4) for i in n],
        "hpv_association_p16": [str(i % 3) for i in n],
        "resection_status": [str(i % 4) for i in n],
        "resection_status_carcinoma_in_situ": [str(i % 3) for i in n],
        "histologic_type": [str(i % 9) for i in n],
        "number_of_positive_lymph_nodes": ["" if i == 1 else f"{i % 4}.0" for i in n],
        "infiltration_depth_in_mm": ["" if i == 2 else f"{i}.5" for i in n],
        "pT_stage": [str(i % 9) for i in n],
        "pN_stage": [str(i % 10) for i in n],
    }
    blood = {column: [f"{k}.{i:02}" for i in n] for k, column in enumerate(BLOOD.values())}
    density = {
        column: ["" if i == 1 and column == "cd8_z" else f"{i}{k}0.5" for i in n]
        for k, column in enumerate(CELL_DENSITY.values())
    }
    named = {
        "targets": targets,
        "clinical": clinical,
        "pathological": pathological,
        "blood": blood,
        "tma_cell_density": density,
    }
    frames = {name: pd.DataFrame({"patient_id": IDS} | table) for name, table in named.items()}
    frames["blood"] = frames["blood"][~frames["blood"]["patient_id"].isin(WITHOUT_BLOOD)]
    return frames


def written(folder: Path, frames: Tables) -> Path:
    """The directory of these tables, with images: CD8 is missing for 001, HE for 002."""
    folder.mkdir()
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv.gz", index=False)
    for position, stain in enumerate(STAINS):
        lacking = WITHOUT_IMAGES | {"CD8": {"001"}, "HE": {"002"}}.get(stain, set())
        ids = [patient for patient in reversed(IDS) if patient not in lacking]
        features = [np.full(WIDTH, 10 * int(patient) + position, np.float32) for patient in ids]
        np.savez(folder / f"tma_dtr_{stain}.npz", patient_id=np.array(ids), features=features)
    return folder


def imported(directory: Path, out: Path, endpoint: str = "os") -> Path:
    source = {"kind": "hancock", "directory": str(directory), "endpoint": endpoint}
    import_hancock(HancockSource.model_validate(source), out)
    return out


def lines(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def shipped(directory: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """The shipped configuration with other places."""
    text = (ROOT / "configs/hancock.yaml").read_text().replace("${SURVFUSE_DATA}", "/data")
    raw: dict[str, Any] = yaml.safe_load(text) | {"output": str(out)}
    raw["source"]["directory"] = str(directory)
    return raw | changes


def test_patients(tmp_path: Path) -> None:
    """Codes become words, unknown ones empty; 004 has neither images nor blood and is left out."""
    sheets = imported(written(tmp_path / "fields", tables()), tmp_path / "sheets")
    header, *rows = lines(sheets / "patients.tsv")
    assert header == ["patient_id", "time", "event", *CLINICAL, *PATHOLOGICAL]
    assert [row[0] for row in rows] == [patient for patient in IDS if patient != "004"]
    first = dict(zip(header, rows[0], strict=True))
    assert first == {
        "patient_id": "001",
        "time": "101",
        "event": "0",
        "age": "57",
        "sex": "female",
        "smoking": "never",
        "tumour_site": "hypopharynx",
        "p16": "",
        "grade": "G2",
        "histology": "other",
        "pT": "",
        "pN": "N0",
        "positive_nodes": "",
        "extranodal_extension": "",
        "depth_mm": "1.5",
        "lymphatic_invasion": "no",
        "vascular_invasion": "no",
        "perineural_invasion": "no",
        "carcinoma_in_situ": "no",
        "resection": "R1",
    }
    values = {name: [row[header.index(name)] for row in rows] for name in header}
    assert values["event"][1] == "1" and values["time"][1] == "204"
    assert values["smoking"][:3] == ["never", "current", ""]  # 3 is unknown
    # the codes 1, 2, 3, 5, 6, 7, 8, 0, 1 ... of the patients 001, 002, 003, 005 ...
    assert values["pT"][:9] == ["", "T1", "T1", "T2", "T3", "T4", "T4", "Tis", ""]
    assert values["pN"][:9] == ["N0", "N1", "N1", "N2", "N2", "N2", "N3", "N3", ""]
    assert values["histology"][2:5] == ["basaloid", "non-keratinising", "other"]
    assert values["positive_nodes"][1] == "2" and values["grade"][2] == ""


def test_recurrence_free_survival(tmp_path: Path) -> None:
    """The other two columns; whoever had the event before treatment has no follow-up."""
    sheets = imported(written(tmp_path / "fields", tables()), tmp_path / "sheets", "rfs")
    _, *rows = lines(sheets / "patients.tsv")
    assert [row[0] for row in rows] == [i for i in IDS if i not in ("004", WITHOUT_FOLLOW_UP)]
    assert [row[1:3] for row in rows[:4]] == [["91", "0"], ["184", "1"], ["279", "0"], ["576", "1"]]
    assert not (sheets / "features" / "005-TMA.h5").exists()
    assert "005" not in pd.read_parquet(sheets / "omics.parquet")["patient_id"].tolist()


def test_measurements(tmp_path: Path) -> None:
    """Patients without blood have no row, because the densities alone are too few values."""
    sheets = imported(written(tmp_path / "fields", tables()), tmp_path / "sheets")
    matrix = pd.read_parquet(sheets / "omics.parquet")
    assert matrix["patient_id"].tolist() == [i for i in IDS if i not in WITHOUT_BLOOD]
    names = [f"{name}_blood" for name in BLOOD] + [f"{name}_density" for name in CELL_DENSITY]
    assert matrix.columns.tolist() == ["patient_id", *names]
    assert matrix["haemoglobin_blood"].tolist()[:2] == [np.float32(1.01), np.float32(1.03)]
    assert np.isnan(matrix["CD8_centre_density"][0])
    assert matrix["CD8_front_density"][0] == np.float32(130.5)
    config = Config.model_validate(shipped(tmp_path / "fields", tmp_path))
    packed = build_matrix(sheets / "omics.parquet", config.omics)
    assert packed.groups.tolist() == ["BLOOD", "CELL_DENSITY"]
    assert packed.group_widths == (16, 4)
    of_density = packed.features[packed.group_index[packed.group_offsets[1] :]]
    assert set(of_density) == {f"{name}_density" for name in CELL_DENSITY}


def test_images(tmp_path: Path) -> None:
    """One bag per patient, one tile per stain; a stain that is missing is not filled in."""
    sheets = imported(written(tmp_path / "fields", tables()), tmp_path / "sheets")
    _, *rows = lines(sheets / "slides.tsv")
    assert rows[0] == ["001-TMA", "001", "", "", "features/001-TMA.h5"]
    assert [row[1] for row in rows] == [i for i in IDS if i not in WITHOUT_IMAGES]
    with h5py.File(sheets / "features/001-TMA.h5") as file:
        present = [0, 1, 3, 4, 5, 6, 7]  # all but CD8
        np.testing.assert_array_equal(file["coords"], [(position, 0) for position in present])
        expected = np.repeat(10 + np.array(present, np.float32)[:, None], WIDTH, axis=1)
        np.testing.assert_array_equal(file["features"], expected)
        assert file["features"].dtype == np.float32
    with h5py.File(sheets / "features/006-TMA.h5") as file:
        assert file["features"].shape == (len(STAINS), WIDTH)
    assert len(list((sheets / "features").iterdir())) == len(rows)


def test_the_sheets_make_a_cohort(tmp_path: Path) -> None:
    """Import through the command, as the workflow does, and check."""
    raw = shipped(written(tmp_path / "fields", tables()), tmp_path, splits={"folds": 2})
    given, sheets = tmp_path / "config.yaml", tmp_path / "sheets"
    given.write_text(yaml.safe_dump(raw))
    assert main(["import-cohort", "--config", str(given), "--out", str(sheets)]) == 0
    config = Config.model_validate(raw)
    cohort = check_cohort(config)
    assert cohort.outcomes["event"].tolist() == [0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1]
    assert cohort.outcomes["time_months"][0] == pytest.approx(101 / 30.4375)
    available = cohort.available(config)
    assert available.index[~available["omics"]].tolist() == ["002"]
    assert available.index[~available["slides"]].tolist() == ["003"]
    assert cohort.facts["genes"] == {"blood": 16, "density": 4}


def test_the_future_changes_nothing(tmp_path: Path) -> None:
    """What happens after the operation reaches no sheet."""
    frames = tables()
    before = imported(written(tmp_path / "a", frames), tmp_path / "before")
    frames["targets"]["recurrence"] = "no"
    frames["targets"]["days_to_recurrence"] = ""
    frames["targets"]["survival_status_with_cause"] = "living"
    frames["targets"][["rfs_event", "days_to_rfs_event"]] = "1"
    frames["clinical"]["primarily_metastasis"] = "0.0"
    after = imported(written(tmp_path / "b", frames), tmp_path / "after")
    names = sorted(path.relative_to(before) for path in before.rglob("*.*"))
    assert names == sorted(path.relative_to(after) for path in after.rglob("*.*"))
    for name in ("patients.tsv", "slides.tsv", "omics.parquet", "gene_sets.gmt"):
        assert (before / name).read_bytes() == (after / name).read_bytes()


@pytest.mark.parametrize(
    ("table", "column", "value", "fault"),
    [
        ("targets", "survival_status", "lost", "is not a code of this column"),
        ("targets", "survival_status", "", "is empty"),
        ("targets", "days_to_last_information", "", "is empty"),
        ("targets", "days_to_last_information", "long", "is not a finite number"),
        ("clinical", "sex", "2", "is not a code of this column"),
        ("clinical", "age_at_initial_diagnosis", "inf", "is not a finite number"),
        ("pathological", "pN_stage", "10", "is not a code of this column"),
        ("pathological", "patient_id", "002", "repeats row"),
        ("blood", BLOOD["platelets"], "many", "is not a finite number"),
        ("tma_cell_density", "cd3_z", None, "column is missing"),
    ],
)
def test_bad_tables(tmp_path: Path, table: str, column: str, value: str | None, fault: str) -> None:
    frames = tables()
    if value is None:
        frames[table] = frames[table].drop(columns=column)
    else:
        frames[table].loc[0, column] = value
    with pytest.raises(SheetError) as caught:
        imported(written(tmp_path / "fields", frames), tmp_path / "sheets")
    assert any(fault in p.problem and p.column == column for p in caught.value.problems)
    assert all(p.file == str(tmp_path / f"fields/{table}.csv.gz") for p in caught.value.problems)
    assert not (tmp_path / "sheets").exists()


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        (None, "no such file"),
        ({"vectors": np.ones(3)}, "holds no arrays patient_id and features"),
        ({"patient_id": np.array(IDS), "features": np.ones((2, WIDTH))}, "for 12 patients"),
        ({"patient_id": np.array(IDS), "features": np.ones((12, 3))}, "CD56 3"),
        ({"patient_id": np.array(["1", "1"]), "features": np.ones((2, WIDTH))}, "repeats row 1"),
        ({"patient_id": np.array(["1"]), "features": np.full((1, WIDTH), np.nan)}, "not finite"),
        ({"patient_id": np.array(["1"], object), "features": np.ones((1, WIDTH))}, "no arrays"),
    ],
)
def test_bad_images(tmp_path: Path, arrays: dict[str, np.ndarray] | None, fault: str) -> None:
    folder = written(tmp_path / "fields", tables())
    path = folder / "tma_dtr_CD56.npz"
    path.unlink()
    if arrays is not None:
        np.savez(path, **arrays)
    with pytest.raises(SheetError, match=fault):
        imported(folder, tmp_path / "sheets")
    assert not (tmp_path / "sheets").exists()


def test_configuration(tmp_path: Path) -> None:
    """Days are written, so days must be read; the groups come with the source."""
    config = Config.model_validate(shipped(tmp_path, tmp_path))
    assert config.omics.gene_sets == tmp_path / "sheets/gene_sets.gmt"
    assert config.cohort.slides == tmp_path / "sheets/slides.tsv" and config.cohort.folds is None
    assert set(config.cohort.covariates) == {*CLINICAL, *PATHOLOGICAL}
    with pytest.raises(ValueError, match="time_unit must be days"):
        Config.model_validate(shipped(tmp_path, tmp_path, cohort={}))


def test_importing_needs_a_source_to_import(tmp_path: Path) -> None:
    config = {
        "name": "t",
        "output": str(tmp_path),
        "source": {"kind": "simulate"},
        "models": [{"name": "clinical_cox", "kind": "clinical_cox"}],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    arguments = ["import-cohort", "--config", str(tmp_path / "config.yaml"), "--out", "unused"]
    assert main(arguments) == UserInputError.exit_code


def real_cohort(real_data: Path, out: Path, endpoint: str) -> tuple[Config, Cohort]:
    config = Config.model_validate(shipped(real_data / "hancock", out))
    imported(real_data / "hancock", out / "sheets", endpoint)
    return config, check_cohort(config)


@pytest.mark.slow
def test_real_cohort(real_data: Path, tmp_path: Path) -> None:
    """456 of 457 patients and 127 of 128 deaths: one has neither images nor blood counts."""
    config, cohort = real_cohort(real_data, tmp_path, "os")
    assert (len(cohort.outcomes), cohort.outcomes["event"].sum()) == (456, 127)
    assert median_follow_up(cohort.outcomes) == pytest.approx(57.6, abs=0.1)
    available = cohort.available(config)
    assert available.sum().to_dict() == {"slides": 455, "omics": 412, "clinical": 456}
    bags = [h5py.File(path)["features"][:] for path in cohort.tables["slides"]["features"]]
    assert {bag.shape[1] for bag in bags} == {512}
    assert sorted({len(bag) for bag in bags}) == [7, 8]


@pytest.mark.slow
def test_real_recurrence_free_survival(real_data: Path, tmp_path: Path) -> None:
    """Five patients had the event before treatment; one more has nothing to predict from."""
    _, cohort = real_cohort(real_data, tmp_path, "rfs")
    assert (len(cohort.outcomes), cohort.outcomes["event"].sum()) == (451, 176)


@pytest.mark.slow
def test_real_codes_agree_with_each_other(real_data: Path, tmp_path: Path) -> None:
    """Facts of medicine that a wrong decoding would break."""
    _, cohort = real_cohort(real_data, tmp_path, "os")
    clinical = cohort.clinical
    nodes = clinical.groupby("pN")["positive_nodes"].agg(set)
    assert nodes["N0"] == {"0"} and nodes[""] == {""} and "0" not in nodes["N1"] | nodes["N2"]
    assert set(clinical.loc[clinical["p16"] == "positive", "tumour_site"]) == {"oropharynx"}
    assert set(clinical.loc[clinical["grade"] == "", "p16"]) == {"positive"}
    assert (clinical["sex"] == "male").mean() > 0.7
    depth = pd.to_numeric(clinical["depth_mm"]).groupby(clinical["pT"]).median()
    assert depth["T1"] < depth["T2"] < depth["T3"] < depth["T4"]
