"""A folder to start from: the workflow, a configuration and sheets without rows."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from survfuse.cli.main import main
from survfuse.core.workflow_files import PROFILES, SCHEMA, SNAKEFILE, WORKFLOW
from survfuse.init.starting_folder import SHEETS, start_empty
from survfuse.modalities.slides.sheet import REQUIRED as SLIDE_REQUIRED
from survfuse.modalities.volumes.sheet import COLUMNS as IMAGE_COLUMNS
from survfuse.models.runnable import load
from workflow_fixture import ROOT


def headers(folder: Path) -> dict[str, list[str]]:
    return {
        name: next(csv.reader((folder / name).open(), delimiter="\t"))
        for name in SHEETS
    }  # fmt: skip


def test_the_workflow_of_a_checkout_is_the_one_at_its_top() -> None:
    assert ROOT / "workflow" == WORKFLOW
    assert SNAKEFILE.is_file() and SCHEMA.is_file() and PROFILES.is_dir()


def test_the_configuration_suits_the_empty_sheets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_empty(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = load("config.yaml")
    found = headers(tmp_path)
    endpoint = config.cohort.endpoint
    named = ["patient_id", endpoint.time, endpoint.event, config.cohort.site]
    assert found["patients.tsv"] == [*named, *config.cohort.covariates]
    assert set(SLIDE_REQUIRED) <= set(found["slides.tsv"])
    assert found["images.tsv"] == list(IMAGE_COLUMNS)
    assert found["omics.tsv"] == ["patient_id"]
    assert all(len((tmp_path / name).read_text().splitlines()) == 1 for name in SHEETS)


def test_every_commented_line_of_the_configuration_is_right_when_it_is_uncommented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_empty(tmp_path)
    monkeypatch.chdir(tmp_path)
    lines = Path("config.yaml").read_text().splitlines()
    opened = [
        line.replace("# ", "", 1) if line.lstrip(" #").split(":")[0] in KEYS else line
        for line in lines
    ]
    assert sum(a != b for a, b in zip(lines, opened, strict=True)) == len(KEYS) + 2
    Path("config.yaml").write_text("\n".join(opened))
    config = load("config.yaml")
    assert config.cohort.diagnosis is not None and config.synthesis is not None
    assert not config.left_out


# Of which slides and omics name a sheet and a section.
KEYS = ["slides", "omics", "images", "roots", "diagnosis", "encoder", "weights", "suffixes"]
KEYS += ["gene_sets", "imaging", "template", "synthesis"]


def test_a_run_from_the_folder_plans_the_workflow(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "study"
    assert main(["init", str(folder)]) == 0
    assert "check-cohort --config config.yaml" in capsys.readouterr().out
    with (folder / "patients.tsv").open("a") as sheet:
        sheet.write("P1\t3\t1\tA\t50\tm\tI\n")
    run = [sys.executable, "-m", "survfuse", "run", "--config", "config.yaml", "--dry-run"]
    for command in (run, ["snakemake", "--dry-run", "--cores", "1"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "check_cohort  1 " in done.stdout


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "patients.tsv").write_text("mine\n")
    assert main(["init", str(tmp_path)]) == 2
    assert "patients.tsv: is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["patients.tsv"]
    assert main(["init", str(tmp_path), "--force"]) == 0


def test_other_sheets_need_that_of_the_patients(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["init", str(tmp_path / "new"), "--omics", "genes.csv"]) == 2
    assert "--patients" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_profiles_are_those_of_the_workflow(tmp_path: Path) -> None:
    start_empty(tmp_path)
    written = {path.parent.name: path.read_text() for path in tmp_path.glob("profiles/*/*")}
    assert written == {path.parent.name: path.read_text() for path in PROFILES.glob("*/*")}
    assert yaml.safe_load(written["slurm"])["executor"] == "slurm"
