"""The image sheet, the configuration of the stage, its commands and its jobs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from imaging_fixture import brain_of, head, save, write_series
from survfuse.cli.main import main
from survfuse.cohort.check import check_cohort
from survfuse.config.cohort import CohortConfig
from survfuse.config.imaging import ImagingConfig
from survfuse.config.study import Config
from survfuse.modalities.volumes.batch import batch_rows
from survfuse.modalities.volumes.sheet import check_images
from survfuse.sheets.text_table import read_sheet
from workflow_fixture import jobs

ROOT = Path(__file__).parents[3]
HEADER = "patient_id\tvisit\tmodality\tpath\tmask\n"


def checked(folder: Path, *lines: str) -> tuple[pd.DataFrame, list[tuple[int | None, str | None]]]:
    sheet = folder / "images.tsv"
    sheet.write_text(HEADER + "".join(line.replace(" ", "\t") + "\n" for line in lines))
    read = read_sheet(sheet, ["patient_id", "visit", "modality", "path"])
    images, problems = check_images(read, {"P1", "P2"}, CohortConfig(images=sheet))
    return images, [(problem.row, problem.column) for problem in problems]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in "abc":
        (tmp_path / f"{name}.nii.gz").write_bytes(b"volume")
    (tmp_path / "d.nhdr").write_bytes(b"NRRD0004")
    (tmp_path / "series").mkdir()
    return tmp_path


def test_a_good_sheet(files: Path) -> None:
    images, problems = checked(
        files, "P2 m00 T1 b.nii.gz", "P1 m12 fdg series", "P1 m00 t1 a.nii.gz c.nii.gz"
    )
    assert not problems
    keys = images[["patient_id", "visit", "modality"]].to_numpy().tolist()
    assert keys == [["P1", "m00", "t1"], ["P1", "m12", "fdg"], ["P2", "m00", "t1"]]
    assert images["path"].tolist()[1] == str(files / "series")
    assert images["mask"].tolist() == [str(files / "c.nii.gz"), "", ""]
    assert images["registration"].tolist() == ["", "", ""]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("P3 m00 t1 a.nii.gz", "patient_id"),
        ("P1 2024/01/02 t1 a.nii.gz", "visit"),
        ("P1 m00 ct a.nii.gz", "modality"),
        ("P1 m00 t1 absent.nii.gz", "path"),
        ("P1 m00 t1 ../outside.nii.gz", "path"),
        ("P1 m00 t1 b.nii.gz series", "mask"),
        ("P2 M00 T1 b.nii.gz", "modality"),
        ("P1 m00 t1 c.nii.gz", "path"),
        ("P1 m00 t1 d.nhdr", "path"),
        ("P1 m00 t1 a.nii.gz d.nhdr", "mask"),
    ],
)
def test_problems_name_row_and_column(files: Path, line: str, column: str) -> None:
    (files.parent / "outside.nii.gz").write_bytes(b"")
    _, problems = checked(files, "P2 m00 t1 c.nii.gz", line)
    assert problems == [(3, column)]


def test_patients_stay_together_whatever_the_batches() -> None:
    images = pd.DataFrame(
        [
            {"patient_id": f"P{i % 7}", "visit": f"m{i}", "modality": "t1", "path": "x"}
            | dict.fromkeys(("mask", "reference", "registration"), "")
            for i in range(30)
        ]
    )
    for batches in (1, 3, 10):
        dealt = [batch_rows(images, batch, batches) for batch in range(batches)]
        owners = [{row.patient_id for row in rows} for rows in dealt]
        assert sum(len(rows) for rows in dealt) == 30
        assert sum(len(own) for own in owners) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"spacing_mm": (0.1, 1, 1)},
        {"shape": (4, 96, 96)},
        {"percentiles": (99, 1)},
        {"suvr_range": (2, 1)},
        {"template_mask": "x.nii"},
        {"min_dice": 2},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        ImagingConfig(**wrong)


def test_projects_without_images_have_the_same_jobs_and_settings() -> None:
    config = {"name": "x", "output": "y", "models": [{"name": "clinical_cox", "kind": "snn"}]}
    plain = Config.model_validate({**config, "cohort": {"patients": "p.tsv"}})
    assert plain.cohort.images is None
    tuned = plain.model_copy(update={"imaging": ImagingConfig(crop=False)})
    for section in ("cohort", "slides", "omics", "training"):
        assert plain.settings_hash(section) == tuned.settings_hash(section)
    assert plain.settings_hash("imaging") != tuned.settings_hash("imaging")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cohort of forty patients, four of whom have volumes."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"P{i}\t{5 + i}\t{i % 2}\t{50 + 7 * i % 31}\n" for i in range(40))
    (tmp_path / "patients.tsv").write_text("patient_id\ttime\tevent\tage\n" + rows)
    genes = "".join(f"P{i},{11 * i % 41},{17 * i % 43}\n" for i in range(40))
    (tmp_path / "genes.csv").write_text("patient_id,A,B\n" + genes)
    volume = head(5.0, 44)
    save(volume, tmp_path / "v/a.nii.gz")
    mask = volume.data * 0 + brain_of(volume)
    save(type(volume)(mask.astype("float32"), volume.affine), tmp_path / "v/m.nii.gz")
    write_series(volume, tmp_path / "v/series")
    save(head(5.0, 44, seed=2), tmp_path / "v/b.nii.gz")
    (tmp_path / "v/bad.nii.gz").write_bytes(b"nothing")
    (tmp_path / "images.tsv").write_text(
        HEADER
        + "P0\tm00\tt1\tv/a.nii.gz\tv/m.nii.gz\n"
        + "P1\tm00\tt1\tv/series\tv/m.nii.gz\n"
        + "P2\tm00\tt1\tv/b.nii.gz\tv/m.nii.gz\n"
        + "P3\tm00\tt1\tv/bad.nii.gz\t\n"
    )
    config = {
        "name": "mine",
        "output": "results",
        "cohort": {
            "patients": "patients.tsv",
            "omics": "genes.csv",
            "images": "images.tsv",
            "covariates": {"age": {"type": "continuous"}},
        },
        "imaging": {
            "batch_size": 2,
            "shape": [40, 48, 40],
            "spacing_mm": [4, 4, 4],
            "bias_correction": False,
            "max_failed_fraction": 0.3,
        },
        "splits": {"folds": 2, "repeats": 1},
        "models": [
            {"name": "clinical_cox", "kind": "clinical_cox"},
            {"name": "permuted", "kind": "clinical_cox", "permute_outcomes": True},
        ],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_images_are_planned_checked_prepared_and_joined(home: Path) -> None:
    snakefile = ["snakemake", "-s", str(ROOT / "Snakefile"), "--configfile", "config.yaml"]
    plan = subprocess.run([*snakefile, "-n", "--cores", "1"], capture_output=True, text=True)
    planned = jobs(plan.stdout)
    assert planned["prepare_images"] == 2, plan.stderr[-2000:]
    assert planned["merge_images"] == 1
    assert main(["check-cohort", "--config", "config.yaml", "--out", "c"]) == 0
    for batch in ("0", "1"):
        options = ["--batch", batch, "--batches", "2", "--out", "i", "--threads", "1"]
        options += ["--images", "c/images.tsv", "--manifest", f"i/batches/{batch}.tsv"]
        assert main(["prepare-images", "--config", "config.yaml", *options]) == 0
    joined = ["merge-images", "--config", "config.yaml", "--out", "i/images.tsv"]
    assert main([*joined, "i/batches/0.tsv", "i/batches/1.tsv"]) == 0
    table = pd.read_csv(home / "i/images.tsv", sep="\t", keep_default_na=False)
    assert table["patient_id"].tolist() == ["P0", "P1", "P2", "P3"]
    assert table["status"].tolist() == ["ok"] * 3 + ["quarantined"]
    record = json.loads((home / "i/volumes/P0/m00/t1.json").read_text())
    assert str(home) not in json.dumps(record)
    for path in (home / "i").rglob("*"):
        assert not path.is_file() or path.stat().st_mode & 0o077 == 0, path


def test_the_visit_of_the_models_must_be_in_the_sheet(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load((home / "config.yaml").read_text())
    config["imaging"]["visit"] = "baseline"
    (home / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["check-cohort", "--config", "config.yaml"]) == 2
    told = capfd.readouterr().err
    assert "imaging.visit" in told
    assert "'baseline'" in told
    assert "(m00)" in told


def test_patients_are_counted_at_the_visit_that_models_read(home: Path) -> None:
    late = "P0\tm24\tfdg\tv/b.nii.gz\t\n"
    sheet = home / "images.tsv"
    sheet.write_text(sheet.read_text().replace("P2\tm00\tt1\tv/b.nii.gz\tv/m.nii.gz\n", late))
    config = yaml.safe_load((home / "config.yaml").read_text())
    counts = {}
    for visit in (None, "m00", "m24"):
        config["imaging"]["visit"] = visit
        checked = Config.model_validate(config)
        found = check_cohort(checked).available(checked)
        counts[visit] = int(found["mri"].sum()), int(found["pet"].sum())
    assert counts == {None: (3, 0), "m00": (3, 0), "m24": (0, 1)}


def test_a_missing_template_is_a_problem_of_the_sheet(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load((home / "config.yaml").read_text())
    config["imaging"]["template"] = "absent.nii.gz"
    (home / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["check-cohort", "--config", "config.yaml"]) == 2
    assert "imaging.template" in capfd.readouterr().err


def test_slices_that_are_links_to_elsewhere_are_refused(
    files: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "1.dcm"
    outside.write_bytes(b"slice")
    (files / "series" / "1.dcm").symlink_to(files / "a.nii.gz")
    assert not checked(files, "P1 m12 fdg series")[1]
    (files / "series" / "2.dcm").symlink_to(outside)
    assert checked(files, "P1 m12 fdg series")[1] == [(2, "path")]
