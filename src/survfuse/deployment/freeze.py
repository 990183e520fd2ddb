"""Freezing a finished study into a package: what its models need to predict, and nobody's data."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from survfuse.artifacts.layout import fold_name
from survfuse.artifacts.package import seal, write_archive
from survfuse.artifacts.package_layout import PackageFolder
from survfuse.config.fields import PATH_OPTIONS
from survfuse.config.models import ModelConfig
from survfuse.config.section import value_at
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import (
    atomic_path,
    read_object,
    read_text_table,
    sha256_file,
    write_json,
    write_text,
)
from survfuse.deployment.card import model_card
from survfuse.deployment.inputs import with_files
from survfuse.deployment.label import model_label
from survfuse.deployment.novelty import write_novelty
from survfuse.deployment.population import population
from survfuse.deployment.schemas import patients_schema, prediction_schema
from survfuse.deployment.study import FinishedStudy, described, finished, performance_of
from survfuse.modalities.inputs import load_inputs
from survfuse.modalities.loading import modality
from survfuse.modalities.paths import study_paths
from survfuse.modalities.registry import (
    COPIED,
    NOT_NEEDED,
    preparation_files,
    sheet_fields,
    sheets_of,
)
from survfuse.models.specs import reads_of, repeats_of
from survfuse.tasks.loading import task_of
from survfuse.training.predict import Fitted, read_matching

# Of a fitted model: what belongs to single patients of the study, or says where it was fitted.
OF_PATIENTS = ("input_hashes", "inputs_sha256", "splits_sha256", "settings", "key")


def freeze_study(config: Config, out: Path, row: str | None = None, archive: bool = True) -> Path:
    """Write the package of a study, and its .zip beside it; returns the folder.

    row: of the leaderboard, whose models predict; default: that of the patient pages. Raises
    UserInputError where the study is not finished or its files do not belong together, or where
    there is something at `out` already that is no package.
    """
    study = finished(config, row)
    if out.exists() and any(out.iterdir()) and not PackageFolder(out).record.is_file():
        raise UserInputError(f"{out}: is there already and is no package; name another folder")
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    files = PackageFolder(unfinished)
    folds = {one.name: copy_models(study, one, files) for one in study.rows}
    copy_generators(study, files, folds[study.row])
    resources = copy_resources(config, files)
    write_json(files.config, packaged_config(study, resources).model_dump(mode="json"))
    write_reference(study, files)
    task = task_of(config)
    asked = dict.fromkeys([study.row, study.evaluation["reference"]])
    write_json(files.estimates, {name: task.freeze(config, study.results, name) for name in asked})
    performance = performance_of(study)
    write_json(files.performance, performance)
    record = described(study, folds, resources)
    write_json(files.schema("prediction"), prediction_schema())
    write_json(files.schema("patients"), patients_schema(config))
    write_json(files.label, model_label(config, record, performance))
    write_text(files.card, model_card(config, record, performance))
    seal(files, record)
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)
    if archive:
        write_archive(PackageFolder(out), out.with_name(f"{out.name}.zip"))
    return out


def copy_models(study: FinishedStudy, row: ModelConfig, files: PackageFolder) -> list[str]:
    """Copy a row as fitted in every fold; returns the names of the folds."""
    config, models = study.config, study.results.models
    repeats = range(repeats_of(row, config))
    folds = [fold_name(repeat, fold) for repeat in repeats for fold in range(config.splits.folds)]
    for fold in folds:
        fitted = read_matching(row.name, Fitted(config, models.root, fold))
        if fitted.fit.get("patients_inside"):
            raise UserInputError(
                f"{row.name}: its fitted models hold values of patients of the study, which no "
                "package may; name another row that predicts"
            )
        source, copy = models.fit(row.name, fold), files.models.fit(row.name, fold)
        with atomic_path(copy.weights) as temporary:
            shutil.copyfile(source.weights, temporary)
        kept = {name: value for name, value in fitted.fit.items() if name not in OF_PATIENTS}
        write_json(copy.description, kept)
    return folds


def copy_generators(study: FinishedStudy, files: PackageFolder, folds: list[str]) -> None:
    """Copy the generators of volumes of the folds, with what they were measured to be worth."""
    if study.config.synthesis is None or not study.results.synthesis.is_dir():
        return
    for fold in folds:
        source = study.results.synthesis / fold
        told = read_object(source / "synthesis.json")
        for direction in told["directions"].values():
            direction["test"].pop("patients")  # measures of single patients
            with atomic_path(files.synthesis / fold / direction["weights"]) as temporary:
                shutil.copyfile(source / direction["weights"], temporary)
        write_json(files.synthesis / fold / "synthesis.json", told)


def copy_resources(config: Config, files: PackageFolder) -> dict[str, dict[str, Any]]:
    """Copy the files that preparation reads; of those that stay outside keep name and hash.

    By their places in the configuration: name, sha256, and whether it is inside the package.
    """
    found = {}
    for place, kept in preparation_files().items():
        key, path = place.rpartition(".")[2], value_at(config, place)
        if path is None or kept == NOT_NEEDED:
            continue
        name = f"{key}_{path.name}" if kept == COPIED else path.name  # two may have one name
        if kept == COPIED:
            with atomic_path(files.resources / name) as temporary:
                shutil.copyfile(path, temporary)
        hashed = {"name": name, "sha256": sha256_file(path)}
        found[place] = {**hashed, "inside": kept == COPIED}
    return found


def packaged_config(study: FinishedStudy, resources: Mapping[str, Mapping[str, Any]]) -> Config:
    """The settings of the rows, in which no path of the study is left."""
    config = study.config
    drawn = config.simulation  # which names its sheets itself
    sheets = {source: Path(path.name) for source, path in sheets_of(config.cohort).items()}
    cohort = config.cohort.model_copy(
        update={
            **sheet_fields({} if drawn else sheets),
            "patients": None if drawn else Path("patients.tsv"),
            "folds": None,
            "missing": None,
            "roots": [],
        }
    )
    named = {place: Path(resource["name"]) for place, resource in resources.items()}
    return config.model_copy(
        update={
            "cohort": cohort,
            "output": Path("results"),
            "source": drawn,
            "models": [without_paths(row) for row in study.rows],
            "evaluation": config.evaluation.model_copy(
                update={"reference": study.evaluation["reference"]}
            ),
            "report": config.report.model_copy(update={"model": study.row, "patients": "all"}),
            **with_files(config, named),
        }
    )


def without_paths(row: ModelConfig) -> ModelConfig:
    """A row with the names alone of files that its options name."""
    options = {
        name: Path(str(value)).name if name in PATH_OPTIONS else value
        for name, value in row.options.items()
    }
    return row.model_copy(update={"options": options})


def write_reference(study: FinishedStudy, files: PackageFolder) -> None:
    """Write what inputs of new patients are compared with, of every modality that is read."""
    paths = study_paths(study.config)
    inputs = load_inputs(paths)
    ids = inputs.patients.index.tolist()
    read = {name for row in study.rows for name in reads_of(row, study.rows)}
    kept_of, arrays = dict[str, Any](), dict[str, np.ndarray]()
    for name, store in inputs.stores.items():
        if name in read:
            kept = modality(name).reference(paths, store, ids, study.config)
            kept_of[name] = kept.described
            arrays |= {f"{name}/{key}": np.asarray(value) for key, value in kept.arrays.items()}
    write_json(files.reference, kept_of)
    with atomic_path(files.reference_arrays) as temporary:
        save_file(arrays, temporary)
    splits = read_text_table(paths.splits, ["patient_id", "repeat", "fold"])
    first = splits[splits["repeat"] == "0"]
    folds = dict(zip(first["patient_id"], first["fold"].astype(int), strict=True))
    write_novelty(files, inputs, folds, list(kept_of), study.config)
    covariates = study.config.cohort.covariates
    write_json(files.population, population(inputs, covariates, list(kept_of)))
