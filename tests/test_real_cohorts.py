"""The shipped configurations of public cohorts, on the real tables where they are at hand."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "patients", "events", "clinical_floor"),
    [("tcga_blca", 373, 169, 0.653), ("tcga_luad_paired", 422, 148, 0.688)],
)
def test_a_public_cohort_runs_and_its_clinical_row_reproduces(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    patients: int,
    events: int,
    clinical_floor: float,
) -> None:
    """The whole workflow with two epochs; the Cox row does not depend on them."""
    monkeypatch.setenv("SURVFUSE_DATA", str(real_data))
    config = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
    config["training"] |= {"epochs": 2, "members": 1}
    config["models"] = [
        row for row in config["models"] if row["kind"] in {"site_only", "clinical_cox", "abmil"}
    ] + [{"name": "snn_permuted", "kind": "snn", "permute_outcomes": True}]
    config["evaluation"]["bootstrap"] = 50
    config["report"] = {"title": name}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        ["snakemake", "-s", str(ROOT / "Snakefile"), "--configfile", "config.yaml", "--cores", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    evaluation = json.loads(
        (tmp_path / "results" / name / "evaluation/evaluation.json").read_text()
    )
    assert (evaluation["n_patients"], evaluation["n_events"]) == (patients, events)
    rows = {row["model"]: row for row in evaluation["rows"]}
    assert rows["clinical_cox"]["harrell_c"]["value"] == pytest.approx(clinical_floor, abs=0.02)
    assert (tmp_path / "results" / name / "report/index.html").exists()
