"""New patients by the real workflow: batches first, then all predictions in one job."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from deployment_fixture import finished_study, new_sheets
from survfuse.core.errors import UserInputError
from survfuse.deployment.freeze import freeze_study
from survfuse.deployment.run import run_of
from workflow_fixture import jobs, snakemake


@pytest.mark.slow
def test_a_configuration_that_names_a_package_predicts_new_patients(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    freeze_study(finished_study(tmp_path / "study"), tmp_path / "package")
    patients, genes = new_sheets(tmp_path)
    patients.to_csv(tmp_path / "new.tsv", sep="\t", index=False)
    genes.to_csv(tmp_path / "new genes.csv", index=False)
    described = {
        "package": "package",
        "output": "out",
        "patients": "new.tsv",
        "sheets": {"omics": "new genes.csv"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(described))
    planned = jobs(snakemake(tmp_path, "-n").stdout)
    assert planned["predict_new"] == 1 and "check_cohort" not in planned
    snakemake(tmp_path)
    table = pd.read_csv(tmp_path / "out" / "predictions" / "predictions.tsv", sep="\t")
    assert set(table["patient_id"]) == set(patients["patient_id"])


@pytest.fixture
def described(tmp_path: Path) -> dict:
    slides = pd.DataFrame({"slide_id": [f"S{i}" for i in range(5)], "patient_id": "A", "path": "x"})
    slides.to_csv(tmp_path / "slides.tsv", sep="\t", index=False)
    return {
        "package": "package",
        "output": "out",
        "patients": "new.tsv",
        "sheets": {"slides": str(tmp_path / "slides.tsv"), "omics": "genes.csv"},
        "batch_size": 2,
    }


def test_files_are_spread_over_jobs_and_tables_are_not(described: dict) -> None:
    run = run_of(described)
    assert [run.batches(source) for source in ("slides", "omics", "images")] == [3, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patient": "x"}, "patient: Extra inputs"),
        ({"sheets": {"genes": "genes.csv"}}, "known are .*omics"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_a_faulty_configuration_is_refused(described: dict, change: dict, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        run_of(described | change)
