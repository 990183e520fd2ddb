"""The shipped configurations of public cohorts, on the real tables where they are at hand."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from survfuse.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "patients", "events", "network", "clinical_floor"),
    [("tcga_blca", 373, 169, "snn", 0.653), ("tcga_luad_paired", 422, 148, "abmil", 0.688)],
)
def test_a_public_cohort_runs_and_its_clinical_row_reproduces(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    patients: int,
    events: int,
    network: str,
    clinical_floor: float,
) -> None:
    """The whole workflow with two epochs; the Cox row does not depend on them."""
    monkeypatch.setenv("SURVFUSE_DATA", str(real_data))
    config = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
    config["training"] |= {"epochs": 2, "members": 1}
    config["splits"] = {"repeats": 1}  # the published folds alone
    config["models"] = [
        row for row in config["models"] if row["kind"] in {"site_only", "clinical_cox"}
    ] + [{"name": "permuted", "kind": network, "permute_outcomes": True}]
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "patients", "events"),
    [
        ("hancock", 456, 127),
        ("oasis", 85, 15),
        ("tcga_blca", 373, 169),
        ("tcga_brca", 956, 130),
        ("tcga_gbmlgg", 569, 187),
        ("tcga_kirc", 345, 92),
        ("tcga_luad", 453, 158),
        ("tcga_luad_paired", 422, 148),
        ("tcga_lusc", 450, 192),
        ("tcga_ucec", 480, 75),
    ],
)
def test_every_public_cohort_passes_its_checks(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    patients: int,
    events: int,
) -> None:
    monkeypatch.setenv("SURVFUSE_DATA", str(real_data))
    raw = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text()) | {"output": str(tmp_path)}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(raw))
    assert main(["import-cohort", "--config", str(config), "--out", str(tmp_path / "sheets")]) == 0
    assert main(["check-cohort", "--config", str(config), "--out", str(tmp_path)]) == 0
    cohort = json.loads((tmp_path / "cohort.json").read_text())
    assert (cohort["n_patients"], cohort["n_events"]) == (patients, events)
    assert all(cohort["genes"].values())


def test_public_cohorts_are_trained_alike() -> None:
    """One training section and one list of rows; nothing is chosen cohort by cohort.

    OASIS has too few events for networks.
    """
    configs = [
        yaml.safe_load(path.read_text())
        for path in sorted((ROOT / "configs").glob("*.yaml"))
        if not path.stem.startswith(("demo", "simulated", "oasis", "radiomics"))
    ]
    assert len({json.dumps(config["training"]) for config in configs}) == 1
    images = {"abmil", "transmil", "concat", "mcat", "survpath", "mmp", "cmta", "pibd", "dispro"}
    rows = {}
    for config in configs:
        source = config["source"]
        paired = source["kind"] == "hancock" or "slide_features" in source
        kinds = [row["name"] for row in config["models"]]
        assert images <= set(kinds) if paired else images.isdisjoint(kinds)
        assert ("site_only" in kinds) == ("site" in config["cohort"])
        rows.setdefault(paired, []).append([name for name in kinds if name != "site_only"])
    assert all(listed == group[0] for group in rows.values() for listed in group)
