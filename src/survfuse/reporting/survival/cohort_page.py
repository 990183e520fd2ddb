"""The cohort report: who the patients are, how all models compare, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from survfuse.config.study import Config
from survfuse.evaluation.roles import COMBINING
from survfuse.modalities.registry import WITHHELD
from survfuse.reporting import disclosure, findings
from survfuse.reporting.cohort_shell import cohort_shell, leaderboard_figure, page_ids
from survfuse.reporting.inputs import ReportData
from survfuse.reporting.leaderboard_file import leaderboard_table
from survfuse.reporting.pages import FailedPage
from survfuse.reporting.pictures.calibration import calibration_panels, shown_points
from survfuse.reporting.pictures.drawing import Drawing
from survfuse.reporting.ranked import Ranked
from survfuse.reporting.sections import explanations
from survfuse.reporting.sections.patient_flow import flow_of
from survfuse.reporting.sections.stack_members import stack_tables
from survfuse.reporting.survival import figures
from survfuse.reporting.survival.metric_tables import metric_tables, scarce_horizons
from survfuse.statistics.comparison import LEAST_EVENTS
from survfuse.tasks.survival.metrics import METRICS, RANKING

# Figures of every model of a long leaderboard would bury the rest of the page.
MOST_DRAWN = 3
ASSOCIATED = findings.Associated(
    above="is associated with an earlier event",
    below="is associated with a later event",
    unclear="is not shown to be associated with the outcome",
)


def cohort_context(
    config: Config, data: ReportData, failed: Sequence[FailedPage] = ()
) -> dict[str, Any]:
    """Everything the template prints. `failed`: pages of patients that could not be written."""
    evaluation = data.evaluation
    rows = evaluation["rows"]
    describe = partial(describe_row, data.cohort["modalities"])
    ranked = Ranked(RANKING, RANKING.name, COMBINING, describe)
    reference = findings.row_of(evaluation, evaluation["reference"])
    alone, alone_patients = findings.alone(rows)
    groups, calibration = drawn_groups(config, data), calibration_figure(config, data)
    curves = None
    if groups:
        horizons = evaluation["horizons_months"]
        curves = figures.risk_groups(groups, horizons, config.report.min_cell, "risk_groups")
    explained = explanations.model_explanations(evaluation)
    stacked = {row["model"]: row["label"] for row in rows if row["role"] in COMBINING}
    counts = {"n": evaluation["n_patients"], "events": evaluation["n_events"]}
    months = {f"{h:g}": f"{h:g}_months" for h in evaluation["horizons_months"]}
    return {
        **cohort_shell(config, data, ranked, failed),
        **words_on_survival(data),
        "alone": alone,
        "alone_patients": alone_patients,
        "some_lack": any(n != evaluation["n_patients"] for n in alone_patients.values()),
        "associations": findings.associations(evaluation, ASSOCIATED),
        "difference_method": next((c["method"] for c in evaluation["comparisons"]), None),
        "convention": (RANKING.found(reference) or {}).get("convention"),
        "scarce": scarce_horizons(evaluation),
        **metric_tables(config, evaluation),
        "most_drawn": MOST_DRAWN
        if sum(r["role"] in COMBINING for r in rows) > MOST_DRAWN
        else None,
        "curves": curves,
        "counts": figures.counts_table(groups, config.report.min_cell) if groups else None,
        "calibration": calibration,
        "explained": explained,
        "stacks": stack_tables(data.fits, stacked, "log-hazard"),
        "observed": {h: observed_risk(data, h) for h in evaluation["horizons_months"]},
        "without": done_without(data.cohort["modalities"]),
        "drawings": [
            leaderboard_figure(evaluation, ranked),
            *(one for one in (curves, calibration) if one),
            *(explanations.contribution_figure(one) for one in explained if one.rows),
        ],
        "tables": {
            "flow": flow_of(data.cohort, config.report.min_cell).table(),
            "leaderboard": leaderboard_table(
                evaluation, counts, METRICS.values(), RANKING, months, config.report.min_cell
            ),
        },
    }


def words_on_survival(data: ReportData) -> dict[str, Any]:
    """What the cohort report and the patient pages say beside what those of all tasks say."""
    return {
        "few_events": data.evaluation["n_events"] < LEAST_EVENTS,
        "least_events": LEAST_EVENTS,
    }


def describe_row(patients: Mapping[str, int], row: Mapping[str, Any]) -> str:
    """The second line of a leaderboard row: what goes in, or why the row is there.

    `patients`: how many have each modality; what nobody has goes into no model.
    """
    if row["role"] == "oracle":
        return "true risk, known by simulation"
    read = [name for name in row["modalities"] if patients.get(name, 1)]
    inputs = " + ".join(findings.MODALITIES.get(name, name) for name in read)
    if row["role"] == "site":
        return "only the centre that treated the patient"
    if row["role"] == "control":
        return f"control: permuted outcomes; {inputs}"
    return inputs


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


def drawn_groups(config: Config, data: ReportData) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """Label and risk groups of the rows that are drawn and have any, in their order."""
    found = data.evaluation["risk_groups"]
    return {
        row["model"]: (
            row["label"],
            disclosure.risk_group_rows(found[row["model"]], config.report.min_cell),
        )
        for row in drawn_rows(config, data)
        if found.get(row["model"])
    }


def calibration_figure(config: Config, data: ReportData) -> Drawing | None:
    """Calibration of the rows that are drawn, a line of panels per horizon; None without any."""
    rows, least = drawn_rows(config, data), config.report.min_cell
    panels = {}
    for horizon in data.evaluation["horizons_months"]:
        points = {
            row["model"]: shown_points(findings.metric(row, "calibration", horizon), least)
            for row in rows
        }
        if any(points.values()):
            panels[f"By {horizon:g}\nmonths"] = points
    labels = {row["model"]: row["label"] for row in rows}
    return calibration_panels(panels, labels, "calibration") if panels else None


def done_without(counts: Mapping[str, int]) -> list[str]:
    """What training patients can be made to lack, where it is not all that a cohort has."""
    there = [name for name in findings.MODALITIES if counts.get(name)]
    names = [findings.MODALITIES[name] for name in there if name in WITHHELD]
    return names if len(there) > 1 else []
