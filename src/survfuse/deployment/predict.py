"""Predicting patients who were in no study, by the models of a package."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.layout import fold_numbers
from survfuse.artifacts.package import Package
from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, read_object, write_json
from survfuse.deployment.contributions import contributions_of
from survfuse.deployment.inputs import NewInputs, NewSheets, has_of, prepare_new, settings_for
from survfuse.deployment.pictures import pictures_of
from survfuse.deployment.record import SCHEMA, prediction_records, table_of
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.registry import MODALITIES
from survfuse.models.specs import find_model, reads_synthesised
from survfuse.reporting.new_patients.stage import write_reports
from survfuse.reporting.new_patients.style import Style
from survfuse.tasks.loading import task_of
from survfuse.training.predict import Fitted, predict_fold

DEFAULT_STYLE = Style()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ByFold:
    """What the model of every fold of a row says of the new patients, and from what inputs."""

    predictions: Mapping[str, Any]
    inputs: Mapping[str, CohortInputs]


def predict_new(
    package: Package,
    sheets: NewSheets,
    out: Path,
    threads: int = 1,
    device: str = "auto",
    on: date | None = None,
    style: Style = DEFAULT_STYLE,
) -> list[dict[str, Any]]:
    """Predict new patients and write what is found to the folder `out`; returns a record of each.

    Written are a JSON file, a page and documents for each patient, a table of all, and the
    predictions of every single model. `on`: the date that the records bear, default today. Raises
    SheetError and others of UserInputError, as `prepare_new` does, before anything is predicted.
    """
    folder = NewPatientsFolder(out)
    config = settings_for(package, sheets, out)
    new = prepare_new(package, config, folder, threads, device)
    for patient in new.patients.ids:
        folder.page(patient)  # refuses what cannot be the name of one
    has = has_of(new.inputs, tuple(MODALITIES))
    log.info("%d patients, by the package %s", len(new.patients.ids), package.record["name"])
    task, frozen = task_of(package.config), read_object(package.files.estimates)
    found, estimates = estimated(package, frozen, new, folder, device)
    without = {
        name: task.estimates(
            frozen[package.row],
            by_fold(package, package.row, hidden(new, name), folder, device).predictions,
            {**has, name: np.zeros(len(new.patients.ids), dtype=bool)},
            package.config,
        )
        for name in package.record["reads"]
        if len(package.record["reads"]) > 1 and has[name].any()
    }
    contributions = contributions_of(package, new, found[package.row].inputs, device)
    seen = next(iter(found[package.row].inputs.values()))
    day = on or date.today()
    records = prediction_records(package, new, seen, estimates, without, contributions, day)
    write_members(package, found, folder.members)
    remove_others(folder, new.patients.ids)
    for record in records:
        write_json(folder.prediction(record["patient_id"]), record)
    with atomic_path(folder.table) as temporary:
        table_of(records).to_csv(temporary, sep="\t", index=False, lineterminator="\n")
    write_reports(records, folder, style, pictures_of(package, new, seen))
    return records


def remove_others(folder: NewPatientsFolder, ids: Sequence[str]) -> None:
    """Remove what an earlier run wrote of patients who are no longer listed, and nothing else."""
    for path in folder.table.parent.glob("*.json"):
        patient = path.stem
        if patient in ids or not is_record_of(path, patient):
            continue
        for own in (folder.page(patient), *folder.documents_of(patient), path):
            own.unlink(missing_ok=True)


def is_record_of(path: Path, patient: str) -> bool:
    """Whether a file is the record of a prediction of a patient."""
    try:
        record = read_object(path)
    except UserInputError:
        return False
    return record.get("schema") == SCHEMA and record.get("patient_id") == patient


def estimated(
    package: Package,
    frozen: Mapping[str, Any],
    new: NewInputs,
    folder: NewPatientsFolder,
    device: str,
) -> tuple[dict[str, ByFold], dict[str, list[dict[str, Any]]]]:
    """By row, what every model says of the patients, and what is estimated of each from it.

    `frozen`: the content of estimates.json.
    """
    task, has = task_of(package.config), has_of(new.inputs, tuple(MODALITIES))
    found = {row: by_fold(package, row, new, folder, device) for row in package.rows}
    estimates = {
        row: task.estimates(frozen[row], one.predictions, has, package.config)
        for row, one in found.items()
    }
    return found, estimates


def hidden(new: NewInputs, name: str) -> NewInputs:
    """The same patients as if none had a modality."""
    return replace(new, inputs=new.inputs.without({name: new.patients.ids}))


def by_fold(
    package: Package, row: str, new: NewInputs, folder: NewPatientsFolder, device: str
) -> ByFold:
    """Ask the model of every fold; volumes that it takes for real ones are made before."""
    predictions, inputs = {}, {}
    for fold in package.folds_of(row):
        inputs[fold] = with_synthetic(package, row, new.inputs, fold, folder, device)
        fitted = Fitted(package.config, package.files.models.root, fold, device, packaged=True)
        predictions[fold] = predict_fold(row, fitted, inputs[fold], new.patients.ids)
    return ByFold(predictions, inputs)


def with_synthetic(
    package: Package,
    row: str,
    inputs: CohortInputs,
    fold: str,
    folder: NewPatientsFolder,
    device: str,
) -> CohortInputs:
    """The inputs with what the generators of a fold make, for a row that reads such volumes."""
    model, settings = find_model(package.config, row), package.config.synthesis
    generators = package.files.synthesis / fold
    reads = reads_synthesised(model, package.config.models)
    if settings is None or not reads or not generators.is_dir():
        return inputs
    from survfuse.synthesis.frozen import synthesise_new

    out = folder.root / "synthesis" / fold
    return replace(inputs, synthetic=synthesise_new(generators, settings, inputs, out, device))


def write_members(package: Package, found: Mapping[str, ByFold], path: Path) -> None:
    """Write what every single model says, in the columns of the study's tables of predictions."""
    frame = task_of(package.config).prediction_tables().frame
    frames = [
        frame(prediction, package.config, *fold_numbers(Path(fold))).assign(model=row)
        for row, one in found.items()
        for fold, prediction in one.predictions.items()
    ]
    with atomic_path(path) as temporary:
        pd.concat(frames, ignore_index=True).to_csv(
            temporary, sep="\t", index=False, lineterminator="\n"
        )
