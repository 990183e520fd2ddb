"""The training stage: one row of the leaderboard on the training part of one fold."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from survfuse.artifacts.checkpoint import Arrays, ids_hash, read_fitted, software, write_fitted
from survfuse.artifacts.layout import FoldFolder, ModelsFolder, fold_name
from survfuse.artifacts.prediction import Predicted
from survfuse.artifacts.split_record import verify_cohort, verify_fold
from survfuse.config.fields import PATH_OPTIONS
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_file, sha256_json, write_json
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.inputs import digest, for_fold, load_inputs
from survfuse.modalities.paths import InputPaths
from survfuse.models.classical.average import fit_average, read_in
from survfuse.models.estimator import (
    FitContext,
    NothingToLearnError,
    PredictContext,
    Refit,
)
from survfuse.models.specs import (
    estimator_of,
    find_model,
    fit_settings,
    parts_of,
    spec_of,
    stopped_by_validation,
)
from survfuse.splits.outer_folds import splits_hash
from survfuse.splits.training_part import TrainingPart, read_part
from survfuse.training.compatibility import check_compatibility
from survfuse.training.predict import (
    Fitted,
    other_rows,
    paths_of,
    read_of,
)
from survfuse.training.same_inputs import anonymous, input_hashes

log = logging.getLogger(__name__)

SCHEMA = 1  # of the record of several folds


def check_models(config: Config) -> None:
    """Refuse unknown kinds, options and parts, and settings that do not suit them.

    Before any compute. Raises UserInputError.
    """
    for model in config.models:
        check_model(config, model)
    check_compatibility(config)


def check_model(config: Config, model: ModelConfig) -> None:
    """Refuse a row of unknown kind, options or parts, or another task. Raises UserInputError."""
    estimator_of(model, config).check(config, model)


def train_fold(
    config: Config,
    name: str,
    fold_directory: Path,
    paths: InputPaths,
    models_directory: Path,
    device: str = "auto",
) -> Path:
    """Fit one leaderboard row on the training part of one fold: see `train_folds`."""
    return train_folds(config, name, [fold_directory], paths, models_directory, device)[0]


def train_folds(
    config: Config,
    name: str,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    device: str = "auto",
    record: Path | None = None,
) -> list[Path]:
    """Fit one leaderboard row on the training parts of folds, one by one; returns its directories.

    A late fusion reads its parts from `models_directory`, where they must be fitted already.
    Modalities that a fold withholds from training patients are absent for every kind of model.
    Where nothing can be learned, the row predicts the average patient: see `average`. Of several
    folds, those that an interrupted run has finished are kept as they are. `record` is written
    last: the hash of every fold's fit.json. Raises UserInputError where a fold or an input is not
    what its stage wrote.
    """
    model = find_model(config, name)
    check_model(config, model)  # a row may be newer than the last check of the cohort
    for directory in fold_directories:
        verify_fold(paths.splits, directory)
    verify_cohort(paths.splits, paths.clinical)
    paths = paths_of(model, config, paths)
    folds = [Fitted(config, models_directory, one.name, device) for one in fold_directories]
    fits = [ModelsFolder(models_directory).fit(name, one.name) for one in fold_directories]
    outs = [fit.root for fit in fits]
    keys = [
        fit_key(model, fold, FoldFolder(directory).train, paths)
        for fold, directory in zip(folds, fold_directories, strict=True)
    ]
    waiting = [
        number
        for number, (out, key) in enumerate(zip(outs, keys, strict=True))
        if len(outs) == 1 or not is_finished(out, key)
    ]
    parts = {number: read_part(fold_directories[number], config.cohort) for number in waiting}
    if waiting:
        trained = {who for part in parts.values() for who in part.patient_ids.tolist()}
        cohort = load_inputs(paths, trained)
    for number in waiting:
        fit_and_write(model, parts[number], cohort, folds[number], paths, keys[number])
        if len(outs) > 1:
            log.info("%s is fitted", folds[number].fold_name)
    if record is not None:
        hashes = {fit.root.name: sha256_file(fit.description) for fit in fits}
        write_json(record, {"schema": SCHEMA, "fits": hashes})
    return outs


def fit_key(model: ModelConfig, fold: Fitted, train: Path, paths: InputPaths) -> str:
    """Hash of all that a fit depends on, by which interrupted and finished work is recognised."""
    config, where = fold.config, ModelsFolder(fold.models_directory)
    averaged = [where.fit(part, fold.fold_name).description for part in parts_of(model)]
    return sha256_json(
        [
            fit_settings(model, config),
            sha256_file(train),
            digest(paths, fold.fold_name),
            software(),  # another version may have other weights
            *(sha256_file(path) for path in averaged if path.is_file()),
        ]
    )


def is_finished(directory: Path, key: str) -> bool:
    """Whether a fitted model is there, whole, and of the same settings and inputs."""
    try:
        return read_fitted(directory).fit.get("key") == key
    except (UserInputError, OSError, ValueError, KeyError):
        return False


def fit_and_write(
    model: ModelConfig,
    part: TrainingPart,
    cohort: CohortInputs,
    fold: Fitted,
    paths: InputPaths,
    key: str,
) -> None:
    """Fit a row on one fold and write it where it belongs."""
    config, name = fold.config, fold.fold_name
    if model.permute_outcomes:
        part = part.permuted(config.training.seed)
    trained_on = set(part.patient_ids.tolist())
    everything = for_fold(paths, cohort.only(trained_on), name, trained_on)
    recorded = anonymous(input_hashes(paths, everything, name))
    inputs = everything.without(part.withheld)
    scratch = fold.models_directory / ".scratch" / model.name / name
    try:
        read = read_by(model, part, inputs, fold)
        arrays, described = fit_row(model, part, inputs, fold, scratch, key)
        described = {**described, "read": read}
    except NothingToLearnError as reason:
        log.warning(
            "%s cannot be fitted in fold %s and predicts the average training patient: %s",
            *(model.name, name, reason),
        )
        arrays, described = fit_average(config, part, str(reason))
    described = {**described, **provenance(config, model, part, paths), "input_hashes": recorded}
    out = fold.models_directory / model.name / name
    write_fitted(out, model.kind, arrays, {**described, "key": key})
    shutil.rmtree(scratch, ignore_errors=True)


def read_by(
    model: ModelConfig, part: TrainingPart, inputs: CohortInputs, fold: Fitted
) -> list[str]:
    """The modalities that a row can learn to read here, whose parts have learned if it has any.

    Raises NothingToLearnError where there is none.
    """
    kind = spec_of(model)
    if kind.averages:
        parts = [read_of(part, fold) for part in parts_of(model)]
        if read := list(dict.fromkeys(name for names in parts for name in names)):
            return read
        raise NothingToLearnError("none of the rows that it averages could be fitted")
    learned_from = part.patient_ids
    if stopped_by_validation(model, fold.config):
        learned_from = learned_from[part.role == "train"]
    return read_in(kind.reads, inputs, learned_from.tolist())


def fit_row(
    model: ModelConfig,
    part: TrainingPart,
    inputs: CohortInputs,
    fold: Fitted,
    scratch: Path,
    key: str,
) -> tuple[Arrays, dict[str, Any]]:
    """Fit a row; returns the arrays and the description to store."""
    others = other_rows(fold, inputs)
    again = partial(refit, inputs=inputs, fold=fold, scratch=scratch, key=key)
    context = FitContext(
        *(fold.config, model, part, inputs, others, again, fold.device, scratch, key)
    )
    return estimator_of(model, fold.config).fit(context)


def refit(
    name: str, part: TrainingPart, *, inputs: CohortInputs, fold: Fitted, scratch: Path, key: str
) -> Refit:
    """Fit another row as if a part of the training patients were all of them.

    It is kept in a folder of its own in `scratch`, so that an interrupted run continues after it.
    """
    model, ids = find_model(fold.config, name), part.patient_ids.tolist()
    own = sha256_json([key, name, ids_hash(ids)])
    folder = scratch / own
    if not is_finished(folder, own):
        inside = inputs.only(set(ids))
        read = read_by(model, part, inside, fold)
        arrays, described = fit_row(model, part, inside, fold, folder / "unfinished", own)
        write_fitted(folder, model.kind, arrays, {**described, "read": read, "key": own})
    fitted, others = read_fitted(folder), other_rows(fold, inputs)

    def predict(patient_ids: Sequence[str]) -> Predicted:
        context = PredictContext(fold.config, model, inputs, patient_ids, others, fold.device)
        return estimator_of(model, fold.config).predict(fitted, context)

    return Refit(predict, fitted.fit["read"])


def without_places(model: ModelConfig) -> dict[str, Any]:
    """A row as configured; of options that are paths the last part, which says no place."""
    row = model.model_dump(mode="json")
    for name in row["options"].keys() & PATH_OPTIONS:
        row["options"][name] = Path(str(row["options"][name])).name
    return row


def provenance(config: Config, model: ModelConfig, part: TrainingPart, paths: InputPaths) -> dict:
    """What a fitted model was made of."""
    return {
        "model": without_places(model),
        "variables": list(config.variables),
        "repeat": part.repeat,
        "fold": part.fold,
        "splits_sha256": splits_hash(paths.splits),
        "settings": fit_settings(model, config),
        "inputs_sha256": digest(paths, fold_name(part.repeat, part.fold)),
        "n_train": int((part.role == "train").sum()),
        "n_validation": int((part.role == "validation").sum()),
        **part.outcome.counted(),
        "withheld": {modality: len(who) for modality, who in part.withheld.items()},
    }
