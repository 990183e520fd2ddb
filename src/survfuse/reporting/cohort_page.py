"""The cohort report: who the patients are, how all models compare, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from survfuse.config import Config
from survfuse.evaluation.rows import COMBINING
from survfuse.kinds import kind_of
from survfuse.reporting import (
    disclosure,
    explanations,
    figures,
    findings,
    provenance,
)
from survfuse.reporting.imaging_section import imaging_context
from survfuse.reporting.inputs import ReportData, RunData
from survfuse.reporting.slide_section import quarantine_rows, slide_counts

INPUT_NAMES = {"slides": "slides", "omics": "genes", "mri": "MRI", "pet": "PET"}
# Figures of every model of a long leaderboard would bury the rest of the page.
MOST_DRAWN = 3


def cohort_context(config: Config, data: ReportData) -> dict[str, Any]:
    """Everything the template prints."""
    evaluation = data.evaluation
    rows = evaluation["rows"]
    verdict = findings.verdict(evaluation)
    pages = page_ids(config, data)
    reference = findings.row_of(evaluation, evaluation["reference"])
    oracle_row = next((row for row in rows if row["role"] == "oracle"), None)
    alone, alone_patients = findings.alone(rows)
    return {
        **common_context(config, data),
        "title": config.report.title,
        "cohort": data.cohort,
        "evaluation": evaluation,
        "model_count": sum(row["role"] not in ("control", "oracle") for row in rows),
        "verdict": verdict,
        "tested": sum(map(len, (verdict.better, verdict.worse, verdict.unclear, verdict.unknown))),
        "comparisons": findings.comparisons(evaluation),
        "leaking_controls": findings.suspicious(evaluation, "control"),
        "telling_sites": findings.suspicious(evaluation, "site"),
        "reference": reference,
        "oracle": (findings.metric(oracle_row, "harrell_c") or {}).get("value"),
        "axis": findings.forest_axis(rows),
        "describe": partial(describe_row, data.cohort["modalities"]),
        "parts": findings.parts,
        "combining": COMBINING,
        "alone": alone,
        "alone_patients": alone_patients,
        "some_lack": any(n != evaluation["n_patients"] for n in alone_patients.values()),
        "modality_names": findings.MODALITIES,
        "overlap": disclosure.overlap_rows(
            data.cohort, findings.MODALITIES, config.report.min_cell
        ),
        "associations": findings.associations(evaluation),
        "missingness": config.training.missingness,
        "metric": findings.metric,
        "reasons": findings.reasons,
        "scored": [row for row in rows if row["role"] != "oracle"],
        "difference_method": next((c["method"] for c in evaluation["comparisons"]), None),
        "convention": (findings.metric(reference, "harrell_c") or {}).get("convention"),
        "uno_convention": (findings.metric(reference, "uno_c") or {}).get("convention"),
        "grid_text": grid_text(evaluation["grid_months"]),
        "most_drawn": MOST_DRAWN
        if sum(r["role"] in COMBINING for r in rows) > MOST_DRAWN
        else None,
        "curves": risk_group_figures(config, data),
        "calibrations": calibration_figures(config, data),
        "explained": explanations.model_explanations(evaluation),
        "observed": {h: observed_risk(data, h) for h in evaluation["horizons_months"]},
        "slides": slide_counts(data.slides),
        "quarantine": quarantine_rows(data.slides),
        "imaging": imaging_context(config, data),
        "covariates": disclosure.covariate_rows(data.cohort, config.report.min_cell),
        "sites": disclosure.site_rows(data.cohort["sites"], config.report.min_cell),
        "fold_sizes": fold_sizes(data),
        "members": ensemble_size(config),
        "bootstrap": config.evaluation.bootstrap,
        "pages": pages,
        "page_label": page_label(config, data) if pages else None,
        "provenance": provenance.facts(config, data),
    }


def common_context(config: Config, data: ReportData) -> dict[str, Any]:
    """What the cohort report and the patient pages share."""
    return {
        "simulated": config.simulation is not None,
        "encoder": describe_encoder(config, data),
        "level": f"{100 * data.evaluation['confidence']:g} %",
        "min_cell": config.report.min_cell,
    }


def describe_encoder(config: Config, data: ReportData) -> dict[str, Any]:
    """What made the tile embeddings, in words, and whether it was never trained."""
    if not data.slides:
        return {"untrained": False, "text": None}
    supplied = data.slide_sheet is not None and (data.slide_sheet["features"] != "").all()
    if supplied:
        return {"untrained": False, "text": "Supplied with the slide sheet, not computed here."}
    name = config.slides.encoder
    if config.slides.untrained:
        text = f"{name} with untrained demonstration weights: random numbers, never trained."
        return {"untrained": True, "text": text}
    weights = config.slides.weights.name if config.slides.weights else "no weight file"
    return {"untrained": False, "text": f"{name} ({weights})."}


def describe_row(patients: Mapping[str, int], row: Mapping[str, Any]) -> str:
    """The second line of a leaderboard row: what goes in, or why the row is there.

    `patients`: how many have each modality; what nobody has goes into no model.
    """
    if row["role"] == "oracle":
        return "true risk, known by simulation"
    read = [name for name in row["modalities"] if patients.get(name, 1)]
    inputs = " + ".join(INPUT_NAMES.get(name, name) for name in read)
    if row["role"] == "site":
        return "only the centre that treated the patient"
    if row["role"] == "control":
        return f"control: permuted outcomes; {inputs}"
    return inputs


def page_ids(config: Config, data: RunData) -> list[str]:
    """The patients that get a page, as configured."""
    if config.report.patients == "all":
        return list(data.study.patient_ids)
    return list(config.report.patients)


def page_label(config: Config, data: RunData) -> str:
    """Name on the pages of the model that patient pages show."""
    model = findings.page_model(config, data.evaluation)
    row = findings.row_of(data.evaluation, model)
    return str(row["label"]) if row else model


def observed_risk(data: ReportData, horizon: float) -> float | None:
    """1 - Kaplan-Meier of the whole cohort at a horizon in months; None beyond the curve."""
    curve = data.evaluation["cohort_curve"]
    if not curve["time"] or horizon > curve["time"][-1]:
        return None
    step = int(np.searchsorted(curve["time"], horizon, side="right")) - 1
    return 0.0 if step < 0 else 1 - float(curve["survival"][step])


def drawn_rows(config: Config, data: ReportData) -> list[findings.Row]:
    """The rows that get figures: the reference, the best combining models, the pages' model."""
    rows = data.evaluation["rows"]
    best = [row["model"] for row in rows if row["role"] in COMBINING][:MOST_DRAWN]
    on_pages = config.report.model
    if page_ids(config, data):
        on_pages = findings.page_model(config, data.evaluation)
    drawn = {data.evaluation["reference"], on_pages, *best}
    return [row for row in rows if row["model"] in drawn]


def risk_group_figures(config: Config, data: ReportData) -> list[dict[str, Any]]:
    """Kaplan-Meier figures by predicted risk, in the order of the leaderboard."""
    evaluation, least = data.evaluation, config.report.min_cell
    return [
        {
            "label": row["label"],
            "svg": figures.risk_groups(
                disclosure.risk_group_rows(evaluation["risk_groups"][row["model"]], least),
                evaluation["horizons_months"],
                least,
                f"km-{row['model']}",
            ),
        }
        for row in drawn_rows(config, data)
        if evaluation["risk_groups"].get(row["model"])
    ]


def calibration_figures(config: Config, data: ReportData) -> list[dict[str, Any]]:
    """Calibration figures, in the order of the leaderboard; empty panels are left out.

    So are points of fewer patients than may be told.
    """
    found = []
    for row in drawn_rows(config, data):
        panels = {}
        for horizon in data.evaluation["horizons_months"]:
            points = findings.metric(row, "calibration", horizon) or []
            shown = [
                point
                for point in points
                if point["low"] is not None and point["n"] >= config.report.min_cell
            ]
            if shown:
                panels[horizon] = shown
        if panels:
            svg = figures.calibration(panels, row["label"], f"calibration-{row['model']}")
            found.append({"label": row["label"], "svg": svg})
    return found


def grid_text(grid_months: list[float]) -> str:
    """The grid of the integrated score in words."""
    if not grid_months:
        return "none"
    steps = set(np.diff(grid_months).round(6))
    if len(steps) == 1:
        return f"{grid_months[0]:g}, {grid_months[1]:g}, … {grid_months[-1]:g} months"
    return f"from {grid_months[0]:g} to {grid_months[-1]:g} months"


def fold_sizes(data: RunData) -> str:
    """How many patients a test fold has: "16" or "15 to 17"."""
    sizes = [len(fold.test) for fold in data.study.folds]
    return f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"


def ensemble_size(config: Config) -> int:
    """Trainings per fold of every network; 0 where no row is one."""
    networks = any(kind_of(model).family == "network" for model in config.models)
    return config.training.members if networks else 0
