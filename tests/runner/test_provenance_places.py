"""The same study in two places: what is recorded of it is the same."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from survfuse.artifacts.manifest import table_digest
from survfuse.cli.main import main
from survfuse.models.runnable import load

CONFIG = {
    "name": "study",
    "output": "out",
    "cohort": {
        "patients": "patients.tsv",
        "slides": "slides.tsv",
        "covariates": {"age": {"type": "continuous"}},
    },
    "splits": {"folds": 2, "repeats": 1},
    "training": {"bins_months": [20], "min_events_per_bin": 1, "members": 1, "epochs": 2},
    "models": [
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {"name": "abmil", "kind": "abmil", "options": {"width": 8}},
        {"name": "permuted", "kind": "clinical_cox", "permute_outcomes": True},
    ],
    "evaluation": {"horizons_months": [20], "bootstrap": 20},
}
MADE = (
    "--splits out/splits/splits.tsv --clinical out/cohort/clinical.tsv "
    "--input slides=out/slides.tsv"
)


def write_study(home: Path) -> None:
    """Patients with two-year-old embeddings of their slides, made elsewhere."""
    draw = np.random.default_rng(3)
    patients, slides = ["patient_id\ttime\tevent\tage"], ["slide_id\tpatient_id\tpath\tfeatures"]
    for number in range(30):
        patients.append(f"P{number}\t{5 + number}\t{number % 2}\t{50 + number % 7}")
        slides.append(f"S{number}\tP{number}\t\tS{number}.h5")
        with h5py.File(home / f"S{number}.h5", "w") as file:
            file["features"] = draw.normal(size=(6, 8)).astype("f2")
    (home / "patients.tsv").write_text("\n".join(patients))
    (home / "slides.tsv").write_text("\n".join(slides))
    (home / "config.yaml").write_text(yaml.safe_dump(CONFIG))


def run(home: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool) -> None:
    """All stages that leave provenance; with `absolute` paths in the configuration or without."""
    monkeypatch.chdir(home)
    if absolute:
        cohort = {**CONFIG["cohort"], "patients": str(home / "patients.tsv")}
        cohort["slides"] = str(home / "slides.tsv")
        (home / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "cohort": cohort}))
    folds = "out/splits/r0f0 out/splits/r0f1"
    commands = [
        "check-cohort --out out/cohort",
        "make-splits --cohort out/cohort --out out/splits",
        "process-slides --slides out/cohort/slides.tsv --batch 0 --batches 1 --out out/slides "
        "--manifest out/slides.tsv",
        f"list-inputs {MADE} --out out/predictions/availability.tsv",
    ]
    for model in CONFIG["models"]:
        name = model["name"]
        commands += [
            f"train --model {name} --folds {fold} {MADE} --models out/models"
            for fold in folds.split()
        ]
        commands.append(
            f"predict-folds --model {name} --folds {folds} {MADE} --models out/models "
            f"--out out/predictions/{name}.tsv --ablations out/predictions/{name}.ablations.tsv "
            f"--attention out/predictions/{name}.attention.h5"
        )
    commands.append(
        "evaluate --outcomes out/cohort/outcomes.tsv --splits out/splits/splits.tsv "
        "--predictions out/predictions --availability out/predictions/availability.tsv "
        "--out out/evaluation.json"
    )
    for command in commands:
        stage, *options = command.split()
        assert main([stage, "--config", "config.yaml", *options]) == 0, command


def test_what_is_recorded_does_not_depend_on_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a", tmp_path / "elsewhere" / "b"
    first.mkdir()
    write_study(first)
    shutil.copytree(first, second)
    for home in (first, second):
        run(home, monkeypatch, absolute=True)
    recorded = sorted(path.relative_to(first) for path in first.glob("out/models/*/*/fit.json"))
    assert len(recorded) == 6
    for name in [*recorded, Path("out/evaluation.json")]:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert json.loads((first / recorded[0]).read_text())["inputs_sha256"]
    hashes = [load(home / "config.yaml").settings_hash("cohort") for home in (first, second)]
    assert hashes[0] == hashes[1]


def test_seconds_and_places_are_no_content(tmp_path: Path) -> None:
    rows = {
        "a": "P\tok\t1.52\t/data/a/x.h5\tabc",
        "b": "P\tok\t9.99\t/other/x.h5\tabc",
        "c": "P\tok\t1.52\t/data/a/x.h5\tabd",
    }
    for name, row in rows.items():
        header = "patient_id\tstatus\tseconds\tfeatures\tfeatures_sha256"
        (tmp_path / name).write_text(f"{header}\n{row}\n")
    digests = {name: table_digest(tmp_path / name) for name in rows}
    assert digests["a"] == digests["b"] != digests["c"]


def test_another_file_of_another_name_is_another_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = load("config.yaml").settings_hash("slides")
    changed = {**CONFIG, "slides": {"weights": str(tmp_path / "a.safetensors")}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(changed))
    assert load("config.yaml").settings_hash("slides") != before
