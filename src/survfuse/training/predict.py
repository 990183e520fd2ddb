"""The prediction stage: out-of-fold predictions of every patient."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.artifacts.ablations import ModalitySet, joined_modalities, write_ablations
from survfuse.artifacts.checkpoint import FittedModel, read_fitted
from survfuse.artifacts.prediction import Prediction
from survfuse.artifacts.predictions import write_predictions
from survfuse.artifacts.split_record import verify_cohort, verify_fold
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.evaluation.records import FoldRecord, write_record
from survfuse.modalities.clinical.modality import clinical_table
from survfuse.modalities.cohort import SYNTHETIC, CohortInputs
from survfuse.modalities.inputs import for_fold, load_inputs
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.registry import MODALITIES
from survfuse.models.classical.average import is_average, predict_average
from survfuse.models.classical.baselines import parts_of, predict_cox_row, predict_late_fusion
from survfuse.models.specs import reads_of, reads_synthesised, spec_of
from survfuse.splits.outer_folds import read_test_ids
from survfuse.splits.training_part import fold_of
from survfuse.training.attention import write_attention
from survfuse.training.same_inputs import input_hashes, require_same

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


def paths_of(model: ModelConfig, config: Config, paths: InputPaths) -> InputPaths:
    """The files that a row reads; synthesised volumes only where it takes them for real ones."""
    rows = config.models
    return paths.only(reads_of(model, rows), reads_synthesised(model, rows))


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
    grid, family = np.array(config.grid_months()), spec_of(model).family
    if is_average(fitted):
        return predict_average(fitted, patient_ids, grid)
    if family == "late":
        parts = predict_parts(model, fold, inputs, patient_ids)
        return predict_late_fusion(fitted, parts, has_inputs(model, fold, inputs, patient_ids))
    if family == "network":
        from survfuse.core.device import choose_device
        from survfuse.training.ensemble import ensemble, predict_neural

        device = choose_device(fold.device)
        team = ensemble(fitted, model, inputs, patient_ids, config.training, device)
        return predict_neural(team, grid, attention)
    if family == "classical":
        from survfuse.models.classical.survival import predict_classical

        return predict_classical(fitted, inputs, patient_ids, grid)
    return predict_cox_row(fitted, clinical_table(inputs), patient_ids, grid)


def predict_parts(
    model: ModelConfig, fold: Fitted, inputs: CohortInputs, patient_ids: Sequence[str]
) -> dict[str, Prediction]:
    """Predictions of the rows that a late fusion averages."""
    return {part: predict_fold(part, fold, inputs, patient_ids) for part in parts_of(model)}


def has_inputs(
    model: ModelConfig, fold: Fitted, inputs: CohortInputs, patient_ids: Sequence[str]
) -> np.ndarray:
    """Which parts of a late fusion have read anything of a patient: (n, parts) bool."""
    reads = [has_read(part, fold, inputs, patient_ids) for part in parts_of(model)]
    return np.stack([any_of(has, len(patient_ids)) for has in reads], axis=1)


def has_read(
    name: str, fold: Fitted, inputs: CohortInputs, patient_ids: Sequence[str]
) -> dict[str, np.ndarray]:
    """(n,) bool by modality: who has it, of the modalities that a fitted row learned to read."""
    everything = reads_of(find_model(fold.config, name), fold.config.models)
    read = read_matching(name, fold).fit.get("read", everything)
    return {modality: inputs.has(modality, patient_ids) for modality in read}


def any_of(has: Mapping[str, np.ndarray], number: int) -> np.ndarray:
    """(number,) bool: which patients have any of the modalities."""
    return np.any([np.zeros(number, dtype=bool), *has.values()], axis=0)


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
    name: str,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    device: str = "auto",
) -> Iterator[TestedFold]:
    """The folds one by one, each with the volumes that were synthesised for it.

    Raises UserInputError where a fold or an input is not what its stage wrote, or a patient has
    other inputs than when the row, or a row that it averages, was fitted.
    """
    row = find_model(config, name)
    verify_cohort(paths.splits, paths.clinical)
    paths = paths_of(row, config, paths)
    cohort = load_inputs(paths)
    for directory in fold_directories:
        verify_fold(paths.splits, directory)
        fitted = Fitted(config, models_directory, directory.name, device)
        tested = read_test_ids(directory / "test_ids.tsv")
        parts = parts_of(row) if spec_of(row).family == "late" else []
        for one in (find_model(config, part) for part in (name, *parts)):
            own = paths_of(one, config, paths)
            hashes = input_hashes(own, cohort, directory.name)
            fit = read_matching(one.name, fitted).fit
            require_same(fit, hashes, tested, str(models_directory / one.name / directory.name))
        inputs = for_fold(paths, cohort, directory.name)
        yield TestedFold(*fold_of(directory), fitted, tested, inputs)


def predict_model(
    config: Config,
    name: str,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    out: Path,
    ablations: Path | None = None,
    attention: Path | None = None,
    device: str = "auto",
) -> None:
    """Write the out-of-fold predictions of one leaderboard row over all folds.

    Every patient is predicted by the model of the fold whose training part did not contain the
    patient. `ablations` gets the predictions from some of the inputs alone, for rows
    that read several; `attention` the attention of the first repeat. A record of all files, by
    which later stages know them, stands beside `out`.
    """
    reads = reads_of(find_model(config, name), config.models)
    frames, in_parts, predictions, records = [], [], [], []
    for fold in tested_folds(config, name, fold_directories, paths, models_directory, device):
        about = (name, fold.fitted, fold.inputs, fold.patient_ids)
        prediction = predict_fold(*about, attention is not None and fold.repeat == 0)
        frames.append(prediction_frame(prediction, config, fold.repeat, fold.number))
        records.append(fold_record(name, fold))
        if fold.repeat == 0:
            predictions.append((prediction, fold.inputs))
        if ablations is not None and len(reads) > 1:
            parts = predict_ablations(*about, reads)
            in_parts.append(parts.assign(repeat=fold.repeat, fold=fold.number))
        log.info("%s: %d patients predicted", fold.fitted.fold_name, len(fold.patient_ids))
    write_predictions(out, pd.concat(frames, ignore_index=True))
    if ablations is not None:
        write_ablations(ablations, pd.concat(in_parts) if in_parts else None)
    if attention is not None:
        write_attention(attention, predictions)
    write_record(out, (ablations, attention), records)


def fold_record(name: str, fold: TestedFold) -> FoldRecord:
    """What a row had to read in the test part of a fold, or why it learned nothing there."""
    has = has_read(name, fold.fitted, fold.inputs, fold.patient_ids)
    return FoldRecord(
        fold.repeat,
        fold.number,
        n_tested=len(fold.patient_ids),
        n_read=int(any_of(has, len(fold.patient_ids)).sum()),
        read={modality: int(there.sum()) for modality, there in has.items()},
        not_estimable=read_matching(name, fold.fitted).fit.get("not_estimable", ""),
    )


def ablation_sets(reads: Sequence[str], inputs: CohortInputs) -> list[ModalitySet]:
    """The inputs of all ablations: each modality alone, and whatever is all that a patient has."""
    modalities = [name for name in MODALITIES if name in reads]
    everybody = inputs.patients.index.tolist()
    has = np.stack([inputs.available(name, everybody) for name in modalities], axis=1)
    there = {frozenset(np.array(modalities)[row].tolist()) for row in np.unique(has, axis=0)}
    several = [given for given in there if 1 < len(given) < len(modalities)]
    single = [frozenset([name]) for name in reads if name in modalities]
    return [*single, *sorted(several, key=joined_modalities)]


def predict_ablations(
    name: str,
    fold: Fitted,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    reads: Sequence[str],
) -> pd.DataFrame:
    """Predictions of patients from some of the inputs that they have.

    Columns patient_id, inputs, risk and the survival at the horizons: from a single modality for
    all who have it, from several for those who have more.
    """
    grid, months = fold.config.grid_months(), fold.config.evaluation.horizons_months
    modalities = [modality for modality in reads if modality in MODALITIES]
    has = {modality: inputs.available(modality, patient_ids) for modality in modalities}
    number = np.sum(list(has.values()), axis=0)
    frames = []
    for given in ablation_sets(reads, inputs):
        predicted = np.all([has[modality] for modality in given], axis=0)
        if len(given) > 1:
            predicted &= number > len(given)
        chosen = [patient for patient, there in zip(patient_ids, predicted, strict=True) if there]
        if not chosen:
            continue
        synthetic = [SYNTHETIC + other for other in inputs.synthetic]
        withheld = {other: chosen for other in (*reads, *synthetic) if other not in given}
        prediction = predict_fold(name, fold, inputs.without(withheld), chosen)
        columns = {
            "patient_id": chosen,
            "inputs": joined_modalities(given),
            "risk": prediction.risk,
        }
        survival = {f"surv_{t:g}": prediction.survival[:, grid.index(t)] for t in months}
        frames.append(pd.DataFrame(columns | survival))
    nobody = pd.DataFrame(columns=["patient_id", "inputs", "risk"])
    return pd.concat(frames, ignore_index=True) if frames else nobody


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
