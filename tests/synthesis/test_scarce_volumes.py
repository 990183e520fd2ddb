"""MRI or PET may be held by nobody, or by one or a few patients, wherever the folds put them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scarce_fixture import row_of
from survfuse.config.study import Config
from survfuse.core.files import sha256_file
from survfuse.evaluation.files import EvaluationFiles
from survfuse.explain.saliency import map_volumes
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.volumes.store import VolumeStatus, write_manifest
from survfuse.splits.outer_folds import write_splits
from survfuse.tasks.diagnosis.leaderboard import evaluate_diagnoses
from survfuse.training.predict import predict_model
from survfuse.training.stage import train_fold
from volume_fixture import write_volume

N = 24
PATIENTS = [f"P{i:02}" for i in range(N)]
DIAGNOSES = [
    {"name": "logistic", "kind": "logistic"},
    {"name": "volumes", "kind": "logistic", "options": {"modalities": ["mri"]}},
    {"name": "uptake", "kind": "logistic", "options": {"modalities": ["pet"]}},
    {"name": "cnn", "kind": "mri_cnn"},
    {"name": "itcfn", "kind": "itcfn", "options": {"absent": "mask"}},
    {"name": "late", "kind": "late_fusion", "options": {"parts": ["logistic", "volumes"]}},
    {"name": "permuted", "kind": "logistic", "permute_outcomes": True},
]


def clinic_on_disk(home: Path, mri: list[str], pet: list[str]) -> tuple[Config, InputPaths]:
    rng = np.random.default_rng(1)
    label = np.arange(N) // 2 % 2
    outcomes = pd.DataFrame({"patient_id": PATIENTS, "label": label})
    clinical = pd.DataFrame({"patient_id": PATIENTS, "age": (70 + label + np.arange(N) % 5)})
    splits = pd.DataFrame({"patient_id": PATIENTS, "repeat": 0, "fold": np.arange(N) % 2})
    config = Config.model_validate(
        {
            "name": "clinic",
            "output": str(home),
            "cohort": {
                "patients": "patients.tsv",
                "images": "images.tsv",
                "diagnosis": {"column": "group"},
                "covariates": {"age": {"type": "continuous"}},
            },
            "splits": {"folds": 2},
            "training": {"epochs": 1, "members": 1},
            "models": DIAGNOSES,
            "evaluation": {"reference": "logistic"},
            "report": {"patients": "all", "model": "itcfn"},
        }
    )
    write_splits(splits, outcomes, config.splits, home / "splits")
    clinical.to_csv(home / "clinical.tsv", sep="\t", index=False)
    outcomes.to_csv(home / "outcomes.tsv", sep="\t", index=False)
    rows = []
    for kind, who in (("mri", mri), ("pet", pet)):
        for patient in who:
            path = write_volume(home / f"{patient}_{kind}.safetensors", 0.1, rng)
            rows.append(
                VolumeStatus(
                    patient, "m00", kind, "ok", tensor=path.name, tensor_sha256=sha256_file(path)
                )
            )
    write_manifest(home / "images.tsv", rows)
    paths = InputPaths(
        home / "splits/splits.tsv", home / "clinical.tsv", {"images": home / "images.tsv"}
    )
    return config, paths


@pytest.mark.parametrize(
    ("mri", "pet"),
    [
        ([], []),
        (PATIENTS, []),
        (PATIENTS, PATIENTS[0:1]),
        (PATIENTS[0:4:2], PATIENTS),
        (PATIENTS[0:6:2], PATIENTS[1:3]),
    ],
    ids=["no-volumes", "no-pet", "one-pet", "mri-in-one-fold", "few-of-both"],
)
def test_volumes_of_hardly_anybody(mri: list[str], pet: list[str], tmp_path: Path) -> None:
    config, paths = clinic_on_disk(tmp_path, mri, pet)
    folds = [tmp_path / f"splits/r0f{fold}" for fold in range(2)]
    tables, models = tmp_path / "predictions", tmp_path / "models"
    for row in DIAGNOSES:
        name = str(row["name"])
        for fold in folds:
            train_fold(config, name, fold, paths, models, "cpu")
        out = tables / f"{name}.tsv"
        ablations, attention = tables / f"{name}.ablations.tsv", tables / f"{name}.attention.h5"
        predict_model(config, name, folds, paths, models, out, ablations, attention, "cpu")
    map_volumes(config, "itcfn", folds, paths, models, tmp_path / "maps.h5", "cpu")
    evaluate_diagnoses(
        config,
        EvaluationFiles(
            outcomes=tmp_path / "outcomes.tsv",
            splits=paths.splits,
            predictions=tables,
            out=tmp_path / "evaluation.json",
        ),
    )
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert row_of(evaluation, "itcfn")["n_read"] == N
    left_out = {one["model"] for one in evaluation["left_out"]}
    if not mri:
        assert left_out >= {"cnn", "volumes"}
    if len(pet) < 2:
        assert "uptake" in left_out
    assert (tmp_path / "maps.h5").is_file()
