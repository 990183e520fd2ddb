"""Checking a package on another cohort with outcomes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse import __version__
from survfuse.artifacts.package import Package
from survfuse.artifacts.package_layout import ExternalFolder
from survfuse.cohort.outcomes import checked_outcomes
from survfuse.config.section import value_at
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_object, write_json, write_text
from survfuse.deployment.external_tables import metrics_table, recalibration_record
from survfuse.deployment.inputs import NewInputs, NewSheets, has_of, prepare_new, settings_for
from survfuse.deployment.predict import estimated, write_members
from survfuse.evaluation.external import evaluate_external
from survfuse.modalities.registry import MODALITIES, OUTSIDE, preparation_files, sheets_of
from survfuse.models.specs import find_model, label_of
from survfuse.reporting.external.page import write_validation_page
from survfuse.tasks.loading import task_of

log = logging.getLogger(__name__)

SCHEMA = "survfuse/external_validation/1"
NO_IDS = (
    "A package holds no ids, so that nobody can see from it whether patients of this cohort were "
    "in the study. If some were, what is found here is too good."
)


def validate_external(
    package: Package,
    other: Config,
    out: Path,
    threads: int = 1,
    device: str = "auto",
    weights: Path | None = None,
) -> dict[str, Any]:
    """Evaluate a package on the cohort of another configuration, and write what is found to `out`.

    Outcomes are read by themselves and meet predictions when these are made. `weights`: of the
    slide encoder, by default those that the configuration names. Raises UserInputError where the
    cohort asks for something else or lacks what the package reads, SheetError for its sheets.
    """
    require_same_question(package, other)
    outcomes, notes = checked_outcomes(other)
    folder, config = ExternalFolder(out), package.config
    sheets, ignored = sheets_for(package, other, weights)
    settings = settings_for(package, sheets, out)
    cohort = settings.cohort.model_copy(update={"roots": other.cohort.roots, "site": None})
    settings = settings.model_copy(update={"cohort": cohort})
    new = prepare_new(package, settings, folder, threads, device)
    frozen = read_object(package.files.estimates)
    found, estimates = estimated(package, frozen, new, folder, device)
    outcomes = outcomes.set_index("patient_id").loc[new.patients.ids].reset_index()
    asked = other.evaluation.model_copy(update={"confidence": config.evaluation.confidence})
    external = task_of(config).external(
        config.model_copy(update={"evaluation": asked}), frozen[package.row], outcomes
    )
    log.info("%s, by the package %s", task_of(config).counted(outcomes), package.record["name"])
    has = has_of(new.inputs, tuple(package.record["reads"]))
    result = evaluate_external(
        external,
        {row: external.probabilities(estimates[row]) for row in package.rows},
        package.reference,
        dict(groups_by_missing(has)),
    )
    record = {
        **heading(package, other, outcomes),
        "bootstrap": asked.bootstrap,
        "seed": asked.seed,
        "inputs": inputs_compared(package, new, has),
        **result,
        "study": read_object(package.files.performance),
        "notes": [*notes_on(package, other, ignored), *result["notes"]],
        "notes_on_data": notes,
    }
    write_members(package, found, folder.members)
    write_json(folder.validation, record)
    write_text(folder.metrics, metrics_table(record).to_csv(sep="\t", index=False))
    if external.link is not None:
        write_json(folder.recalibration, recalibration_record(record, external.link))
    write_validation_page(record, package.config, other.report.min_cell, folder)
    return record


def require_same_question(package: Package, other: Config) -> None:
    """Raise UserInputError unless a cohort has the outcome and declares the covariates."""
    config, name = package.config, other.name
    if other.task != config.task:
        raise UserInputError(
            f"{name}: {other.cohort.why_task}, but the package {package.record['name']} is of the "
            f"task {config.task}; name a configuration of that task"
        )
    task_of(config).require_same_question(config.cohort, other.cohort)
    asked = set(task_of(config).outcome_columns(other.cohort))
    for covariate, declared in config.cohort.covariates.items():
        if covariate in asked:
            raise UserInputError(
                f"{name}: {covariate} holds the outcome, and the package reads a covariate of that "
                "name; rename the column of the outcome"
            )
        theirs = other.cohort.covariates.get(covariate)
        if theirs is None:
            raise UserInputError(
                f"{name}: cohort.covariates has no {covariate}, which the models of the package "
                "read; declare it as in the study (a column that is empty throughout counts as "
                "missing in everybody)"
            )
        if theirs != declared:
            raise UserInputError(
                f"{name}: cohort.covariates.{covariate} is {in_words(theirs)}, in the study it was "
                f"{in_words(declared)}; give the values as the study had them"
            )


def in_words(covariate: Any) -> str:
    """The type of a covariate, with its levels."""
    levels = f" ({', '.join(covariate.levels)})" if covariate.levels else ""
    return f"{covariate.type}{levels}"


def sheets_for(
    package: Package, other: Config, weights: Path | None
) -> tuple[NewSheets, list[str]]:
    """The sheets of a cohort that the package reads, and the names of those that it does not."""
    known, brought = sheets_of(package.config.cohort), sheets_of(other.cohort)
    ignored = [source for source in brought if source not in known]
    read = {source: path for source, path in brought.items() if source in known}
    patients = other.cohort.patients
    assert patients is not None, "the configuration requires a patient sheet"
    if weights is None and not all(one["inside"] for one in package.record["resources"].values()):
        outside = [place for place, kept in preparation_files().items() if kept == OUTSIDE]
        weights = next((path for place in outside if (path := value_at(other, place))), None)
    return NewSheets(patients, read, weights), ignored


def groups_by_missing(has: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Who has a modality, and who lacks it, of each that some of the patients have; by name."""
    for name, there in has.items():
        if there.any() and not there.all():
            noun = MODALITIES[name].noun
            yield f"with {noun}", there
            yield f"without {noun}", ~there


def heading(package: Package, other: Config, outcomes: pd.DataFrame) -> dict[str, Any]:
    """What was checked, on whom, for what."""
    config, task, reference = package.config, task_of(package.config), package.reference
    return {
        "schema": SCHEMA,
        "survfuse": __version__,
        "package": {
            "name": package.record["name"],
            "title": package.record["title"],
            "sha256": package.identity,
            "predicts": package.record["predicts"],
            "simulated": package.record["simulated"],
            "untrained": package.record["untrained"],
            "n_patients": package.record["study"]["n_patients"],
        },
        "cohort": {
            "name": other.name,
            "title": other.report.title,
            "simulated": other.simulation is not None,
            "n_patients": len(outcomes),
            **task.summary(outcomes, other),
        },
        "task": config.task,
        "predicted": task.predicted(config),
        "row": package.row,
        "label": label_of(find_model(config, package.row)),
        "reference": reference,
        "reference_label": reference and label_of(find_model(config, reference)),
        "confidence": config.evaluation.confidence,
    }


def inputs_compared(
    package: Package, new: NewInputs, has: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Of each modality that the row reads, how its inputs differ from those of the study.

    `flagged`: patients with a remark on it that makes their estimates less to be trusted.
    `remarks`: those on all patients together.
    """
    study, n = package.record["study"], len(new.patients.ids)
    compared = []
    for name, there in has.items():
        own = [remark for remark in new.remarks if name in (remark.modality or "").split("+")]
        flagged = {one.patient_id for one in own if one.flagged and one.patient_id is not None}
        compared.append(
            {
                "modality": name,
                "name": MODALITIES[name].noun,
                "n": n,
                "present": int(there.sum()),
                "present_in_study": study["modalities"].get(name),
                "n_in_study": study["n_patients"],
                "flagged": len(flagged),
                "remarks": [str(one.message) for one in own if one.patient_id is None],
            }
        )
    return compared


def notes_on(package: Package, other: Config, ignored: list[str]) -> list[str]:
    """What has to be known of a comparison of two cohorts."""
    task = task_of(package.config)
    study, here = task.predicted(package.config), task.predicted(other)
    notes = [NO_IDS]
    if (study["name"], study["definition"]) != (here["name"], here["definition"]):
        notes.append(
            f"The study predicts {study['name']} ({study['definition']}); the outcome here is "
            f"{here['name']} ({here['definition']})."
        )
    if ignored:
        notes.append(f"Not read, as the study had none: {', '.join(ignored)}.")
    return notes
