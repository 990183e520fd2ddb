"""The prediction stage: out-of-fold predictions of every patient, for any task."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.checkpoint import FittedModel, read_fitted
from survfuse.artifacts.layout import FoldFolder, fold_numbers
from survfuse.artifacts.split_record import verify_cohort, verify_fold
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.evaluation.records import FoldRecord, write_record
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.inputs import for_fold, load_inputs
from survfuse.modalities.paths import InputPaths
from survfuse.models.classical.average import is_average, predict_average
from survfuse.models.estimator import OtherRows, PredictContext
from survfuse.models.specs import (
    estimator_of,
    find_model,
    fit_settings,
    parts_of,
    reads_of,
    reads_synthesised,
)
from survfuse.splits.outer_folds import read_test_ids
from survfuse.tasks.loading import task_of
from survfuse.training.attention import write_attention
from survfuse.training.same_inputs import input_hashes, require_same

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """Where the models of one fold are, and how to run them.

    packaged: whether a package vouches that they were fitted with the settings of `config`, in
    which paths of the study are no longer named.
    """

    config: Config
    models_directory: Path
    fold_name: str
    device: str = "auto"
    packaged: bool = False


def read_matching(name: str, fold: Fitted) -> FittedModel:
    """A fitted row. Raises UserInputError if it was fitted with other settings."""
    directory = fold.models_directory / name / fold.fold_name
    fitted = read_fitted(directory)
    if fold.packaged:
        return fitted
    if fitted.fit["settings"] != fit_settings(find_model(fold.config, name), fold.config):
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
    held_out: bool = False,
) -> Any:
    """Predict some patients with the model fitted on one fold.

    What comes is of the class that predictions of the task have; `attention` and `held_out` as in
    `PredictContext`.
    """
    config, model = fold.config, find_model(fold.config, name)
    fitted = read_matching(name, fold)
    if is_average(fitted):
        return predict_average(fitted, patient_ids, config)
    others = other_rows(fold, inputs)
    context = PredictContext(
        *(config, model, inputs, patient_ids, others, fold.device, attention, held_out)
    )
    return estimator_of(model, config).predict(fitted, context)


def other_rows(fold: Fitted, inputs: CohortInputs) -> OtherRows:
    """What a row that averages others may ask of those fitted on the same fold."""

    def predict(row: str, patient_ids: Sequence[str], held_out: bool) -> Any:
        return predict_fold(row, fold, inputs, patient_ids, held_out=held_out)

    return OtherRows(predict, lambda row: read_of(row, fold))


def read_of(name: str, fold: Fitted) -> list[str]:
    """The modalities that a fitted row has learned to read."""
    everything = list(reads_of(find_model(fold.config, name), fold.config.models))
    read: list[str] = read_matching(name, fold).fit.get("read", everything)
    return read


def has_read(
    name: str, fold: Fitted, inputs: CohortInputs, patient_ids: Sequence[str]
) -> dict[str, np.ndarray]:
    """(n,) bool by modality: who has it, of the modalities that a fitted row learned to read."""
    return {modality: inputs.has(modality, patient_ids) for modality in read_of(name, fold)}


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
        tested = read_test_ids(FoldFolder(directory).test_ids)
        for one in (find_model(config, part) for part in (name, *parts_of(row))):
            own = paths_of(one, config, paths)
            hashes = input_hashes(own, cohort, directory.name)
            fit = read_matching(one.name, fitted).fit
            require_same(fit, hashes, tested, str(models_directory / one.name / directory.name))
        inputs = for_fold(paths, cohort, directory.name)
        yield TestedFold(*fold_numbers(directory), fitted, tested, inputs)


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
    tables = task_of(config).prediction_tables()
    frames, ablated, predictions, records = [], [], [], []
    for fold in tested_folds(config, name, fold_directories, paths, models_directory, device):
        inputs, patient_ids = fold.inputs, fold.patient_ids
        attended = attention is not None and fold.repeat == 0
        prediction = predict_fold(name, fold.fitted, inputs, patient_ids, attended)
        frames.append(tables.frame(prediction, config, fold.repeat, fold.number))
        records.append(fold_record(name, fold))
        if fold.repeat == 0:
            predictions.append((prediction, inputs))
        if ablations is not None and len(reads) > 1:
            predict = partial(predict_fold, name, fold.fitted)
            ablated += [
                frame.assign(repeat=fold.repeat, fold=fold.number)
                for frame in tables.ablations(predict, config, reads, inputs, patient_ids)
            ]
        log.info("%s: %d patients predicted", fold.fitted.fold_name, len(patient_ids))
    tables.write(out, pd.concat(frames, ignore_index=True))
    if ablations is not None:
        every = pd.concat(ablated, ignore_index=True) if ablated else None
        tables.write_ablations(ablations, every)
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
