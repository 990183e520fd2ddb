"""The training and prediction stages: one model, one fold; then one model, all folds."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.cohort.splits import read_test_ids, splits_hash
from survfuse.config import Config, ModelConfig
from survfuse.errors import UserInputError
from survfuse.evaluation.predictions import write_predictions
from survfuse.files import sha256_file, sha256_json
from survfuse.fusion.registry import MODELS
from survfuse.training.attention import write_attention
from survfuse.training.baselines import (
    COX_KINDS,
    covariates_of,
    fit_cox_row,
    fit_late_fusion,
    parts_of,
    predict_cox_row,
    predict_late_fusion,
)
from survfuse.training.checkpoint import read_fitted, write_fitted
from survfuse.training.inputs import CohortInputs, load_inputs
from survfuse.training.neural import (
    check_options,
    choose_device,
    fit_neural,
    predict_neural,
)
from survfuse.training.part import TrainingPart, fold_of, read_part
from survfuse.training.prediction import Prediction

log = logging.getLogger(__name__)

KINDS = (*COX_KINDS, "late_fusion", *MODELS)


@dataclass(frozen=True)
class InputPaths:
    """Files that training and prediction may read; none of them holds an outcome."""

    splits: Path
    clinical: Path
    slides: Path | None = None
    omics: Path | None = None

    def digest(self) -> str:
        """Hash of the contents, by which interrupted work is recognised."""
        paths = [self.splits, self.clinical, self.slides, self.omics]
        return sha256_json([sha256_file(path) if path else None for path in paths])


def check_models(config: Config) -> None:
    """Refuse unknown kinds, options and parts before any compute. Raises UserInputError."""
    by_name = {model.name: model for model in config.models}
    for model in config.models:
        if model.kind not in KINDS:
            raise UserInputError(
                f"models.{model.name}: there is no model {model.kind!r}; known are "
                f"{', '.join(KINDS)}"
            )
        if model.kind in MODELS:
            check_options(model)
        elif model.kind in COX_KINDS:
            covariates_of(model, config.cohort)
        else:
            for part in parts_of(model):
                if part not in by_name or by_name[part].kind == "late_fusion":
                    raise UserInputError(
                        f"models.{model.name}: options.parts names {part!r}, which is not a row "
                        "that can be averaged"
                    )


def find_model(config: Config, name: str) -> ModelConfig:
    """The configuration of a leaderboard row."""
    for model in config.models:
        if model.name == name:
            return model
    raise UserInputError(f"there is no model {name!r} in the configuration")


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
    """
    model = find_model(config, name)
    out = models_directory / name / fold_directory.name
    part = read_part(fold_directory)
    if model.permute_outcomes:
        part = part.permuted(config.training.seed)
    inputs = load_inputs(paths.clinical, paths.slides, paths.omics)
    tensors: Mapping[str, Any]
    scratch = models_directory / ".scratch" / name / fold_directory.name
    if model.kind in COX_KINDS:
        tensors, described = fit_cox_row(model, config.cohort, part, inputs.clinical)
    elif model.kind == "late_fusion":
        patient_ids = part.patient_ids.tolist()
        tensors, described = fit_late_fusion(
            predict_parts(config, model, models_directory, out.name, inputs, patient_ids, device)
        )
    else:
        key = sha256_json(
            [
                config.settings_hash("training", "omics", model=name),
                sha256_file(fold_directory / "train.tsv"),
                paths.digest(),
            ]
        )
        tensors, described = fit_neural(
            config, model, part, inputs, scratch, key, choose_device(device)
        )
    write_fitted(out, model.kind, tensors, {**described, **provenance(config, model, part, paths)})
    shutil.rmtree(scratch, ignore_errors=True)
    return out


def provenance(config: Config, model: ModelConfig, part: TrainingPart, paths: InputPaths) -> dict:
    """What a fitted model was made of."""
    return {
        "model": model.model_dump(mode="json"),
        "repeat": part.repeat,
        "fold": part.fold,
        "splits_sha256": splits_hash(paths.splits),
        "settings": config.settings_hash("training", "omics", model=model.name),
        "inputs_sha256": paths.digest(),
        "n_train": int((part.role == "train").sum()),
        "n_inner": int((part.role == "inner").sum()),
        "n_events": int(part.event.sum()),
    }


def predict_parts(
    config: Config,
    model: ModelConfig,
    models_directory: Path,
    fold_name: str,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    device: str,
) -> dict[str, Prediction]:
    """Predictions of the rows that a late fusion averages."""
    return {
        part: predict_fold(
            config, part, models_directory, fold_name, inputs, patient_ids, device, False
        )
        for part in parts_of(model)
    }


def predict_fold(
    config: Config,
    name: str,
    models_directory: Path,
    fold_name: str,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    device: str,
    attention: bool,
) -> Prediction:
    """Predict some patients with the model fitted on one fold."""
    model = find_model(config, name)
    fitted = read_fitted(models_directory / name / fold_name)
    if fitted.fit["settings"] != config.settings_hash("training", "omics", model=name):
        raise UserInputError(
            f"{models_directory / name / fold_name}: was fitted with other settings; if the "
            "configuration was changed while the workflow ran, start the workflow again"
        )
    grid = np.array(config.grid_months())
    if model.kind in COX_KINDS:
        return predict_cox_row(fitted, inputs.clinical, patient_ids, grid)
    if model.kind == "late_fusion":
        parts = predict_parts(
            config, model, models_directory, fold_name, inputs, patient_ids, device
        )
        return predict_late_fusion(fitted, parts, has_inputs(config, model, inputs, patient_ids))
    return predict_neural(
        fitted, model, inputs, patient_ids, grid, config.training, choose_device(device), attention
    )


def has_inputs(
    config: Config, model: ModelConfig, inputs: CohortInputs, patient_ids: Sequence[str]
) -> np.ndarray:
    """Which parts of a late fusion have any input for a patient: (n, parts) bool."""
    columns = []
    for name in parts_of(model):
        part = find_model(config, name)
        reads = MODELS[part.kind].reads if part.kind in MODELS else ("clinical",)
        has = np.full(len(patient_ids), "clinical" in reads)
        if "slides" in reads:
            has |= np.array([patient in inputs.bags for patient in patient_ids])
        if "omics" in reads and inputs.omics is not None:
            has |= inputs.omics.rows(patient_ids)[1]
        columns.append(has)
    return np.stack(columns, axis=1)


def predict_model(
    config: Config,
    name: str,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    out: Path,
    attention: Path | None = None,
    device: str = "auto",
) -> None:
    """Write the out-of-fold predictions of one leaderboard row over all folds.

    Every patient is predicted by the model of the fold whose training part did not contain the
    patient. With `attention`, the attention of the first repeat is written too.
    """
    inputs = load_inputs(paths.clinical, paths.slides, paths.omics)
    frames, predictions = [], []
    for directory in fold_directories:
        repeat, fold = fold_of(directory)
        patient_ids = read_test_ids(directory / "test_ids.tsv")
        prediction = predict_fold(
            config,
            name,
            models_directory,
            directory.name,
            inputs,
            patient_ids,
            device,
            attention is not None and repeat == 0,
        )
        frames.append(prediction_frame(prediction, config, repeat, fold))
        if repeat == 0:
            predictions.append(prediction)
        log.info("repeat %d, fold %d: %d patients predicted", repeat, fold, len(patient_ids))
    write_predictions(out, pd.concat(frames, ignore_index=True))
    if attention is not None:
        write_attention(attention, predictions, inputs)


def prediction_frame(
    prediction: Prediction, config: Config, repeat: int, fold: int
) -> pd.DataFrame:
    """One tidy row per patient."""
    grid = config.grid_months()
    frame = pd.DataFrame(
        {
            "patient_id": prediction.patient_ids,
            "repeat": repeat,
            "fold": fold,
            "risk": prediction.risk,
        }
    )
    for column, months in enumerate(grid):
        frame[f"surv_{months:g}"] = prediction.survival[:, column]
    several = len(prediction.members) > 1
    for months in config.evaluation.horizons_months:
        at_horizon = 1 - prediction.members[:, :, grid.index(months)]
        frame[f"risk_low_{months:g}"] = at_horizon.min(axis=0) if several else np.nan
        frame[f"risk_high_{months:g}"] = at_horizon.max(axis=0) if several else np.nan
    return frame
