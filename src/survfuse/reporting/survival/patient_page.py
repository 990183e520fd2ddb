"""The patient page: one out-of-fold prediction, what it rests on, and how far to trust it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from survfuse.artifacts.explanations import FoldExplanation
from survfuse.artifacts.layout import fold_name
from survfuse.config.study import Config
from survfuse.modalities.registry import VOLUMES
from survfuse.reporting import disclosure, wording
from survfuse.reporting.inputs import (
    Prediction,
    ReportData,
    prediction_of,
    read_explained,
    read_model,
    risks_of,
)
from survfuse.reporting.parts import Part, attempt
from survfuse.reporting.patient_shell import ShownModel, patient_shell, shown_model
from survfuse.reporting.pictures import attention
from survfuse.reporting.pictures import slides as images
from survfuse.reporting.pictures.drawing import Drawing
from survfuse.reporting.sections import patient_explanation
from survfuse.reporting.sections.horizon_risk import HorizonRow, why_none, widened
from survfuse.reporting.sections.input_chips import Chip, PatientInputs, patient_chips
from survfuse.reporting.sections.shown_volumes import volume_of, volumes_of
from survfuse.reporting.sections.unread import fits_of, unread_modalities, why_average, with_unread
from survfuse.reporting.stored_attention import Attention, read_attention
from survfuse.reporting.survival.cohort_page import observed_risk, words_on_survival
from survfuse.reporting.survival.figures import visible_until
from survfuse.reporting.survival.metric_tables import scarce_horizons
from survfuse.reporting.survival.patient_figure import Courses
from survfuse.tasks.survival.metrics import RANKING


@dataclass(frozen=True)
class PageModel(ShownModel):
    """The model that patient pages show, read once for all of them."""

    table: pd.DataFrame  # its predictions
    explanations: tuple[FoldExplanation, ...]  # by fold; empty for a model without
    courses: Courses


def read_page_model(config: Config, data: ReportData) -> PageModel:
    """Read the model of the patient pages.

    Raises UserInputError if there is no such model, it was not evaluated, it has no predictions,
    or its explanations are of other folds.
    """
    shown = shown_model(config, data)
    tau = data.evaluation["tau_months"]
    horizons = [h for h in data.evaluation["horizons_months"] if h <= tau]
    courses = Courses(data.evaluation["cohort_curve"], horizons, config.report.min_cell)
    table, explained = read_model(data, shown.name), read_explained(data, shown.name)
    return PageModel(**vars(shown), table=table, explanations=explained, courses=courses)


def patient_context(
    config: Config, data: ReportData, model: PageModel, patient_id: str
) -> dict[str, Any]:
    """Everything the template prints.

    Raises UserInputError if the model has no prediction for the patient.
    """
    evaluation = data.evaluation
    prediction = prediction_of(data, model.name, model.table, patient_id)
    tau = evaluation["tau_months"]
    known = {months: risk for months, risk in prediction.risks.items() if months <= tau}
    prediction = replace(prediction, risks=known)
    beside = {}
    if model.name != evaluation["reference"]:
        beside = risks_of(data.risks, evaluation["reference"], patient_id)
    horizons = [
        HorizonRow(h, prediction.risks.get(h), beside.get(h), observed_risk(data, h))
        for h in evaluation["horizons_months"]
    ]
    estimable = [entry for entry in horizons if entry.risk is not None]
    headline = estimable[-1] if estimable else None
    remarks: list[str] = []  # what is not on the page, and why

    def part(what: str, make: Callable[[], Part], otherwise: Part) -> Part:
        return attempt(f"patient {patient_id}", what, make, otherwise, remarks)

    looked = part(
        "map of attention",
        lambda: read_attention(data, model.name, patient_id),
        Attention(None, None),
    )
    remarks += looked.remarks
    tiles = looked.tiles
    # A single group has all the attention, whoever the patient is.
    groups = looked.groups if looked.groups is not None and len(looked.groups) > 1 else None
    repeat, number = prediction.folds[0]
    fits = fits_of(data, model.row, prediction.folds)
    unread = unread_modalities(model.row, fits)
    chips = input_chips(config, data, model, patient_id, fold_name(repeat, number), unread)
    group = patient_group(config, data, model, headline)
    used = [chip for chip in chips if chip.used]
    moved = part(
        "explanation of the estimate",
        lambda: patient_explanation.explain(model.explanations, patient_id),
        None,
    )
    curve = part("expected course", lambda: patient_figure(model, prediction, group), None)
    inked = 0
    overviews: list[attention.Overview] = []
    shown: list[attention.Tile] = []
    if tiles is not None:
        marked = part("search for pen ink", lambda: attention.with_ink(data, tiles), None)
        if marked is not None:
            overviews = part("map of attention", lambda: attention.overviews(data, marked), [])
            shown = part("pictures of tiles", lambda: attention.tiles_shown(data, marked), [])
            inked = attention.passed_over(marked)
    summary = evaluation["explained"].get(model.name, {})
    return {
        **patient_shell(config, data, model, patient_id, prediction.folds, RANKING),
        **words_on_survival(data),
        "happened": config.cohort.endpoint.happened,
        "disagreement": prediction.disagreement.get(headline.horizon) if headline else None,
        "chips": chips,
        "lacking": [wording.within_sentence(c.name) for c in used if c.state != "present"],
        "together": any(entry.reference for entry in horizons),
        "left": [wording.within_sentence(c.name) for c in used if c.state == "present" and c.read],
        "unread": [wording.within_sentence(c.name) for c in used if not c.read],
        "why_average": why_average(fits),
        "horizons": horizons,
        "scarce": scarce_horizons(evaluation),
        "beyond_tau": evaluation["horizons_months"][-1] > evaluation["tau_months"],
        "headline": headline,
        "widened": widened(headline.risk) if headline and headline.risk else "",
        "why_none": why_none(evaluation, model.name),
        "filled": round(100 * headline.risk.risk) if headline and headline.risk else 0,
        "group": group,
        "curve": curve,
        "tile_count": 0 if tiles is None else len(tiles),
        "inked": inked,
        "overviews": overviews,
        "tiles": shown,
        "without_files": attention.without_files(data, shown),
        "remarks": remarks,
        "groups": [] if groups is None else attention.gene_groups(groups),
        "group_count": 0 if groups is None else len(groups),
        "gradient": images.colour_gradient(),
        "moved": moved,
        "part_notes": patient_explanation.part_sentences(moved, summary.get("stability", {}))
        if moved
        else [],
        "tile_note": patient_explanation.tile_sentence(moved) if moved else None,
        "drawings": [curve] if curve else [],
    }


def input_chips(
    config: Config,
    data: ReportData,
    model: PageModel,
    patient_id: str,
    fold: str,
    unread: Collection[str] = (),
) -> list[Chip]:
    """What is known of a patient tested in `fold` (r0f3), by modality.

    What nobody in the cohort has is mentioned only where the model would read it. `unread`:
    modalities that the model of the fold did not learn to read.
    """
    used = model.row["modalities"]
    made = any(m.name == model.name and m.options.get("absent") != "mask" for m in config.models)
    volumes = {
        image: volume_of(
            config, data, patient_id, image, made and image in used, fold, lambda _: None
        )
        for image in (VOLUMES if volumes_of(data) else ())
    }
    chips = patient_chips(PatientInputs(data, patient_id, used, volumes))
    return [with_unread(chip, name in unread) for name, chip in chips.items()]


def patient_group(
    config: Config, data: ReportData, model: PageModel, headline: HorizonRow | None
) -> Mapping[str, Any] | None:
    """The risk group of a patient with its observed curve, if the model has risk groups.

    `observed` is None where so few were followed that the curve ends before the horizon.
    """
    found = data.evaluation["risk_groups"].get(model.name)
    if not found or headline is None or headline.risk is None:
        return None
    least = config.report.min_cell
    name = headline.risk.group
    groups = disclosure.risk_group_rows(found, least)
    group = next((group for group in groups if group["group"] == name), None)
    if group is not None and visible_until(group, least) <= headline.horizon:
        return {**group, "observed": {"value": None}}
    return group


def patient_figure(
    model: PageModel, prediction: Prediction, group: Mapping[str, Any] | None
) -> Drawing | None:
    """The expected course of the patient, None if nothing is estimable."""
    return model.courses.drawing(prediction, group) if prediction.risks else None
