"""What the patient pages of all tasks print, whatever was predicted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from survfuse import __version__
from survfuse.config.models import IDENTIFIER
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.evaluation.metrics import Metric
from survfuse.modalities.registry import PATIENT_TABLE
from survfuse.reporting import disclosure, findings
from survfuse.reporting.cohort_shell import page_shell
from survfuse.reporting.inputs import RunData
from survfuse.reporting.saved_files import of_patient
from survfuse.reporting.sections import provenance


@dataclass(frozen=True)
class ShownModel:
    """The model that patient pages show, as the evaluation knows it."""

    name: str
    label: str
    row: findings.Row


def shown_model(config: Config, data: RunData) -> ShownModel:
    """The model of the patient pages. Raises UserInputError where it was not evaluated."""
    name = findings.page_model(config, data.evaluation)
    row = findings.row_of(data.evaluation, name)
    if row is None:
        raise UserInputError(f"report.model {name!r} was not evaluated; evaluate it first")
    return ShownModel(name, row["label"], row)


def patient_shell(
    config: Config,
    data: RunData,
    model: ShownModel,
    patient_id: str,
    folds: tuple[tuple[int, int], ...],
    ranking: Metric[Any, Any, Any],
) -> dict[str, Any]:
    """What the templates of all patient pages print. `folds`: (repeat, fold), one per repeat."""
    evaluation, compared_as = data.evaluation, ranking.compared_as
    return {
        **page_shell(config, data, ranking),
        "patient_id": patient_id,
        "model": model.name,
        "label": model.label,
        "row": model.row,
        "comparison": findings.comparisons(evaluation, compared_as).get(model.name),
        "standing": findings.standing(evaluation, model.row, compared_as),
        "folds": folds,
        "covariates": covariate_rows(data, patient_id, config.report.min_cell),
        "clinical_used": PATIENT_TABLE in model.row["modalities"],
        "version": __version__,
        "run": config.name,
        "configuration_hash": provenance.configuration_hash(config),
        "weights": provenance.weights_hashes(data, model.name, folds),
        "saved": of_patient(patient_id),
        "tables": {},
    }


def check_patient(data: RunData, patient_id: str) -> None:
    """Raise UserInputError unless the id is a plain identifier of the cohort."""
    if not re.fullmatch(IDENTIFIER, patient_id):
        raise UserInputError(
            f"report.patients: {patient_id!r} is not an identifier; use letters, digits, - and _"
        )
    if patient_id not in data.clinical.index:
        raise UserInputError(f"report.patients: {patient_id} is not in the cohort")


def covariate_rows(data: RunData, patient_id: str, least: int) -> list[dict[str, str]]:
    """The patient's covariates beside their distribution in the cohort."""
    return [
        {
            "name": covariate.name,
            "value": str(data.clinical.at[patient_id, covariate.name]),
            "summary": covariate.summary,
        }
        for covariate in disclosure.covariate_rows(data.cohort, least)
    ]
