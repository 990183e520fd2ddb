"""The training stage: one row of the leaderboard on the training part of one fold."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from survfuse.classes import UNKNOWN
from survfuse.cohort.splits import splits_hash
from survfuse.config import Config, ModelConfig
from survfuse.errors import UserInputError
from survfuse.files import sha256_file, sha256_json
from survfuse.kinds import all_kinds, kind_of
from survfuse.training.baselines import covariates_of, fit_cox_row, fit_late_fusion, parts_of
from survfuse.training.checkpoint import software, write_fitted
from survfuse.training.inputs import CohortInputs, InputPaths
from survfuse.training.part import TrainingPart, read_part
from survfuse.training.predict import SECTIONS, Fitted, find_model, predict_parts
from survfuse.training.suited import check_suited


def check_models(config: Config) -> None:
    """Refuse unknown kinds, options and parts, and settings that do not suit them.

    Before any compute. Raises UserInputError.
    """
    for model in config.models:
        check_model(config, model)
    check_suited(config)


def check_model(config: Config, model: ModelConfig) -> None:
    """Refuse a row of unknown kind, options or parts. Raises UserInputError."""
    family = kind_of(model).family
    check_task(config, model)
    if family == "network":
        from survfuse.training.neural import check_options

        check_options(config, model)
    elif family == "classical":
        from survfuse.training.classical import check_classical

        check_classical(model, config.cohort)
    elif family == "late":
        by_name = {row.name: row for row in config.models}
        for part in parts_of(model):
            if part not in by_name or kind_of(by_name[part]).family == "late":
                raise UserInputError(
                    f"models.{model.name}: options.parts names {part!r}, which is not a row "
                    "that can be averaged"
                )
    else:
        covariates_of(model, config.cohort)


def check_task(config: Config, model: ModelConfig) -> None:
    """Refuse a row that cannot do what the cohort asks for. Raises UserInputError."""
    if config.task in kind_of(model).tasks:
        return
    able = ", ".join(name for name, kind in all_kinds().items() if config.task in kind.tasks)
    asked = "set, so models tell classes apart" if config.task == "diagnosis" else "not set"
    raise UserInputError(
        f"models.{model.name}: cohort.diagnosis is {asked}, which {model.kind} is not made for; "
        f"use one of {able}"
    )


def train_fold(
    config: Config,
    name: str,
    fold_directory: Path,
    paths: InputPaths,
    models_directory: Path,
    device: str = "auto",
) -> Path:
    """Fit one leaderboard row on the training part of one fold; returns its directory.

    A late fusion reads its parts from `models_directory`, where they must be fitted already.
    Modalities that the fold withholds from training patients are absent for every kind of model.
    """
    model = find_model(config, name)
    check_model(config, model)  # a row may be newer than the last check of the cohort
    out = models_directory / name / fold_directory.name
    part = read_part(fold_directory)
    if model.permute_outcomes:
        part = part.permuted(config.training.seed)
    inputs = paths.for_fold(paths.load(), fold_directory.name).without(part.withheld)
    scratch = models_directory / ".scratch" / name / fold_directory.name
    key = sha256_json(
        [
            config.settings_hash(*SECTIONS, model=name),
            sha256_file(fold_directory / "train.tsv"),
            paths.digest(fold_directory.name),
            software(),  # another version may have other weights
        ]
    )
    fold = Fitted(config, models_directory, fold_directory.name, device)
    tensors, described = fit_row(model, part, inputs, fold, scratch, key)
    write_fitted(out, model.kind, tensors, {**described, **provenance(config, model, part, paths)})
    shutil.rmtree(scratch, ignore_errors=True)
    return out


def fit_row(
    model: ModelConfig,
    part: TrainingPart,
    inputs: CohortInputs,
    fold: Fitted,
    scratch: Path,
    key: str,
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Fit a row of any family; returns the tensors and the description to store."""
    config, family = fold.config, kind_of(model).family
    if config.task == "diagnosis":
        from survfuse.training.diagnose import fit_diagnosis

        return fit_diagnosis(model, part, inputs, fold, scratch, key)
    if family == "late":
        return fit_late_fusion(predict_parts(model, fold, inputs, part.patient_ids.tolist()))
    if family == "network":
        from survfuse.device import choose_device
        from survfuse.training.neural import fit_neural, prepare

        device = choose_device(fold.device)
        return fit_neural(prepare(config, model, part, inputs), scratch, key, device)
    if family == "classical":
        from survfuse.training.classical import fit_classical

        return fit_classical(config, model, part, inputs)
    return fit_cox_row(model, config.cohort, part, inputs.clinical)


def provenance(config: Config, model: ModelConfig, part: TrainingPart, paths: InputPaths) -> dict:
    """What a fitted model was made of."""
    return {
        "model": model.model_dump(mode="json"),
        "repeat": part.repeat,
        "fold": part.fold,
        "splits_sha256": splits_hash(paths.splits),
        "settings": config.settings_hash(*SECTIONS, model=model.name),
        "inputs_sha256": paths.digest(f"r{part.repeat}f{part.fold}"),
        "n_train": int((part.role == "train").sum()),
        "n_inner": int((part.role == "inner").sum()),
        "n_events": int(part.event.sum()),
        **({} if part.label is None else {"n_known": int((part.label != UNKNOWN).sum())}),
        "withheld": {modality: len(who) for modality, who in part.withheld.items()},
    }
