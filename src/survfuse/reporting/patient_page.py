"""The patient page: one out-of-fold prediction, what it rests on, and how far to trust it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from survfuse import __version__
from survfuse.config import IDENTIFIER, Config
from survfuse.config_imaging import IMAGES
from survfuse.errors import UserInputError
from survfuse.evaluation.explanations import FoldExplanation
from survfuse.reporting import (
    attention,
    disclosure,
    figures,
    findings,
    images,
    patient_explanation,
    provenance,
    wording,
)
from survfuse.reporting.cohort_page import common_context, observed_risk
from survfuse.reporting.input_chips import clinical_chip, gene_chip, slide_chip
from survfuse.reporting.inputs import (
    Prediction,
    ReportData,
    RunData,
    prediction_of,
    read_attention,
    read_explained,
    read_model,
    risk_group_of,
)
from survfuse.reporting.shown_volumes import Chip, volume_chip, volume_of


@dataclass(frozen=True)
class PageModel:
    """The model that patient pages show, read once for all of them."""

    name: str
    label: str
    row: findings.Row
    table: pd.DataFrame  # its predictions
    explanations: tuple[FoldExplanation, ...]  # by fold; empty for a model without


def read_page_model(config: Config, data: ReportData) -> PageModel:
    """Read the model of the patient pages.

    Raises UserInputError if there is no such model, it was not evaluated, it has no predictions,
    or its explanations are of other folds.
    """
    name = findings.page_model(config, data.evaluation)
    row = findings.row_of(data.evaluation, name)
    if row is None:
        raise UserInputError(f"report.model {name!r} was not evaluated; evaluate it first")
    return PageModel(name, row["label"], row, read_model(data, name), read_explained(data, name))


@dataclass(frozen=True)
class HorizonRow:
    """The prediction at one horizon; None is not estimable."""

    horizon: float
    risk: float | None
    observed: float | None  # of the whole cohort, by Kaplan-Meier
    low: float | None  # range over the ensemble members
    high: float | None

    @property
    def ratio(self) -> float | None:
        if self.risk is None or not self.observed:
            return None
        return self.risk / self.observed


def patient_context(
    config: Config, data: ReportData, model: PageModel, patient_id: str
) -> dict[str, Any]:
    """Everything the template prints.

    Raises UserInputError if the model has no prediction for the patient.
    """
    evaluation = data.evaluation
    prediction = prediction_of(model.table, patient_id)
    horizons = [horizon_row(data, prediction, h) for h in evaluation["horizons_months"]]
    estimable = [entry for entry in horizons if entry.risk is not None]
    headline = estimable[-1] if estimable else None
    looked = read_attention(data, model.name, patient_id)
    tiles = looked.tiles
    repeat, number = prediction.folds[0]
    chips = input_chips(config, data, model, patient_id, f"r{repeat}f{number}")
    group = patient_group(config, data, model, patient_id)
    reference = findings.row_of(evaluation, evaluation["reference"])
    used = [chip for chip in chips if chip.used]
    moved = patient_explanation.explain(model.explanations, patient_id)
    summary = evaluation.get("explained", {}).get(model.name, {})
    return {
        **common_context(config, data),
        "patient_id": patient_id,
        "cohort": data.cohort,
        "evaluation": evaluation,
        "model": model.name,
        "label": model.label,
        "row": model.row,
        "reference": reference,
        "comparison": findings.comparisons(evaluation).get(model.name),
        "metric": findings.metric,
        "folds": prediction.folds,
        "members": config.training.members,
        "chips": chips,
        "lacking": [wording.within_sentence(c.name) for c in used if c.state != "present"],
        "left": [wording.within_sentence(c.name) for c in used if c.state == "present"],
        "horizons": horizons,
        "beyond_tau": evaluation["horizons_months"][-1] > evaluation["tau_months"],
        "headline": headline,
        "filled": round(100 * headline.risk) if headline and headline.risk is not None else 0,
        "group": group,
        "curve": patient_figure(config, data, prediction, group),
        "tile_count": 0 if tiles is None else len(tiles),
        "overviews": [] if tiles is None else attention.overviews(data, tiles),
        "tiles": [] if tiles is None else attention.tiles_shown(data, tiles),
        "groups": [] if looked.groups is None else attention.gene_groups(looked.groups),
        "group_count": 0 if looked.groups is None else len(looked.groups),
        "gradient": images.colour_gradient(),
        "moved": moved,
        "part_notes": patient_explanation.part_sentences(moved, summary.get("stability", {}))
        if moved
        else [],
        "tile_note": patient_explanation.tile_sentence(moved) if moved else None,
        "covariates": covariate_rows(data, patient_id, config.report.min_cell),
        "clinical_used": "clinical" in model.row["modalities"],
        "version": __version__,
        "configuration_hash": provenance.configuration_hash(config),
        "weights": provenance.weights_hashes(data, model.name, prediction.folds),
    }


def check_patient(data: RunData, patient_id: str) -> None:
    """Raise UserInputError unless the id is a plain identifier of the cohort."""
    if not re.fullmatch(IDENTIFIER, patient_id):
        raise UserInputError(
            f"report.patients: {patient_id!r} is not an identifier; use letters, digits, - and _"
        )
    if patient_id not in data.clinical.index:
        raise UserInputError(f"report.patients: {patient_id} is not in the cohort")


def horizon_row(data: ReportData, prediction: Prediction, horizon: float) -> HorizonRow:
    """The prediction at a horizon; beyond tau nothing is estimable."""
    within = horizon <= data.evaluation["tau_months"]
    survival = prediction.survival.get(horizon) if within else None
    low, high = prediction.ranges.get(horizon, (None, None)) if within else (None, None)
    observed = observed_risk(data, horizon)
    return HorizonRow(horizon, None if survival is None else 1 - survival, observed, low, high)


def input_chips(
    config: Config, data: ReportData, model: PageModel, patient_id: str, fold: str
) -> list[Chip]:
    """What is known of a patient tested in `fold` (r0f3), by modality; volumes if there are any."""
    used = model.row["modalities"]
    made = any(m.name == model.name and m.options.get("absent") != "mask" for m in config.models)
    return [
        slide_chip(data, patient_id, "slides" in used),
        gene_chip(data, patient_id, "omics" in used),
        clinical_chip(data, patient_id, "clinical" in used),
        *(
            volume_chip(
                volume_of(config, data, patient_id, image, made and image in used, fold),
                image in used,
            )
            for image in (IMAGES if data.volumes else ())
        ),
    ]


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


def patient_group(
    config: Config, data: ReportData, model: PageModel, patient_id: str
) -> Mapping[str, Any] | None:
    """The risk group of the patient with its observed curve, if the model has risk groups."""
    found = data.evaluation["risk_groups"].get(model.name)
    if not found:
        return None
    groups = disclosure.risk_group_rows(found, config.report.min_cell)
    name = risk_group_of(data, model.table, patient_id)
    return next((group for group in groups if group["group"] == name), None)


def patient_figure(
    config: Config, data: ReportData, prediction: Prediction, group: Mapping[str, Any] | None
) -> Any:
    """The survival curve of the patient, None if nothing is estimable."""
    tau = data.evaluation["tau_months"]
    known = {time: value for time, value in prediction.survival.items() if time <= tau}
    if not known:
        return None
    return figures.patient_curve(
        Prediction(prediction.folds, known, prediction.ranges),
        data.evaluation["cohort_curve"],
        group,
        [h for h in data.evaluation["horizons_months"] if h <= tau],
        config.report.min_cell,
        "curve",
    )
