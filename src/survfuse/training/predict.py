"""The prediction stage: every patient by the models that have not seen the patient."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.cohort.splits import read_test_ids
from survfuse.config import Config, ModelConfig
from survfuse.errors import UserInputError
from survfuse.evaluation.patterns import write_patterns
from survfuse.evaluation.predictions import write_predictions
from survfuse.kinds import MODALITIES, kind_of, reads_of
from survfuse.training.attention import write_attention
from survfuse.training.baselines import parts_of, predict_cox_row, predict_late_fusion
from survfuse.training.checkpoint import FittedModel, read_fitted
from survfuse.training.inputs import STAND_INS, CohortInputs, InputPaths
from survfuse.training.part import fold_of
from survfuse.training.prediction import Prediction

log = logging.getLogger(__name__)

# Of the configuration that a fitted model depends on; the cohort's, for its covariates.
SECTIONS = ("training", "omics", "cohort")


@dataclass(frozen=True)
class Fitted:
    """Where the models of one fold are, and how to run them."""

    config: Config
    models_directory: Path
    fold_name: str
    device: str = "auto"


def find_model(config: Config, name: str) -> ModelConfig:
    """The configuration of a leaderboard row."""
    for model in config.models:
        if model.name == name:
            return model
    raise UserInputError(f"there is no model {name!r} in the configuration")


def read_matching(name: str, fold: Fitted) -> FittedModel:
    """A fitted row. Raises UserInputError if it was fitted with other settings."""
    directory = fold.models_directory / name / fold.fold_name
    fitted = read_fitted(directory)
    if fitted.fit["settings"] != fold.config.settings_hash(*SECTIONS, model=name):
        raise UserInputError(
            f"{directory}: was fitted with other settings; if the configuration was changed while "
            "the workflow ran, start the workflow again"
        )
    return fitted


def predict_fold(
    name: str,
    fold: Fitted,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    attention: bool = False,
) -> Prediction:
    """Predict some patients with the model fitted on one fold."""
    config, model = fold.config, find_model(fold.config, name)
    fitted = read_matching(name, fold)
    grid, family = np.array(config.grid_months()), kind_of(model).family
    if family == "late":
        parts = predict_parts(model, fold, inputs, patient_ids)
        return predict_late_fusion(fitted, parts, has_inputs(config, model, inputs, patient_ids))
    if family == "network":
        from survfuse.device import choose_device
        from survfuse.training.ensemble import ensemble, predict_neural

        device = choose_device(fold.device)
        team = ensemble(fitted, model, inputs, patient_ids, config.training, device)
        return predict_neural(team, grid, attention)
    if family == "classical":
        from survfuse.training.classical import predict_classical

        return predict_classical(fitted, inputs, patient_ids, grid)
    return predict_cox_row(fitted, inputs.clinical, patient_ids, grid)


def predict_parts(
    model: ModelConfig, fold: Fitted, inputs: CohortInputs, patient_ids: Sequence[str]
) -> dict[str, Prediction]:
    """Predictions of the rows that a late fusion averages."""
    return {part: predict_fold(part, fold, inputs, patient_ids) for part in parts_of(model)}


def has_inputs(
    config: Config, model: ModelConfig, inputs: CohortInputs, patient_ids: Sequence[str]
) -> np.ndarray:
    """Which parts of a late fusion have any input for a patient: (n, parts) bool."""
    columns = []
    for name in parts_of(model):
        reads = reads_of(find_model(config, name), config.models)
        has = [inputs.available(modality, patient_ids) for modality in reads if modality != "site"]
        columns.append(np.any(has, axis=0) if has else np.ones(len(patient_ids), dtype=bool))
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class TestedFold:
    """A fold with the patients that it is tested on, and what may be known of them."""

    repeat: int
    number: int
    fitted: Fitted
    patient_ids: list[str]
    inputs: CohortInputs


def tested_folds(
    config: Config,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    device: str = "auto",
) -> Iterator[TestedFold]:
    """The folds one by one, each with the volumes that were synthesised for it."""
    cohort = paths.load()
    for directory in fold_directories:
        yield TestedFold(
            *fold_of(directory),
            Fitted(config, models_directory, directory.name, device),
            read_test_ids(directory / "test_ids.tsv"),
            paths.for_fold(cohort, directory.name),
        )


def predict_model(
    config: Config,
    name: str,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    out: Path,
    patterns: Path | None = None,
    attention: Path | None = None,
    device: str = "auto",
) -> None:
    """Write the out-of-fold predictions of one leaderboard row over all folds.

    Every patient is predicted by the model of the fold whose training part did not contain the
    patient. `patterns` gets the risks with one modality shown at a time, for rows that read
    several; `attention` the attention of the first repeat.
    """
    reads = reads_of(find_model(config, name), config.models)
    frames, shown_alone, predictions = [], [], []
    for fold in tested_folds(config, fold_directories, paths, models_directory, device):
        about = (name, fold.fitted, fold.inputs, fold.patient_ids)
        prediction = predict_fold(*about, attention is not None and fold.repeat == 0)
        frames.append(prediction_frame(prediction, config, fold.repeat, fold.number))
        if fold.repeat == 0:
            predictions.append((prediction, fold.inputs))
        if patterns is not None and len(reads) > 1:
            alone = one_at_a_time(*about, reads)
            shown_alone.append(alone.assign(repeat=fold.repeat, fold=fold.number))
        log.info("%s: %d patients predicted", fold.fitted.fold_name, len(fold.patient_ids))
    write_predictions(out, pd.concat(frames, ignore_index=True))
    if patterns is not None:
        write_patterns(patterns, pd.concat(shown_alone) if shown_alone else None)
    if attention is not None:
        write_attention(attention, predictions)


def one_at_a_time(
    name: str,
    fold: Fitted,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    reads: Sequence[str],
) -> pd.DataFrame:
    """Risks of the patients who have a modality when the model sees that modality alone.

    Columns patient_id, pattern (the modality shown) and risk.
    """
    frames = []
    for shown in (modality for modality in reads if modality in MODALITIES):
        has = inputs.available(shown, patient_ids)
        chosen = [patient for patient, there in zip(patient_ids, has, strict=True) if there]
        if not chosen:
            continue
        hidden = {modality: chosen for modality in (*reads, *STAND_INS) if modality != shown}
        prediction = predict_fold(name, fold, inputs.without(hidden), chosen)
        frames.append(
            pd.DataFrame({"patient_id": chosen, "pattern": shown, "risk": prediction.risk})
        )
    return pd.concat(frames, ignore_index=True)


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
