"""The cohort report: who the patients are, how all models compare, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from survfuse.config.study import Config
from survfuse.evaluation.roles import COMBINING
from survfuse.modalities.omics.transform import transforms_in_words
from survfuse.modalities.registry import MODALITIES
from survfuse.models.specs import spec_of
from survfuse.reporting import disclosure, findings
from survfuse.reporting.inputs import ReportData, RunData
from survfuse.reporting.leaderboard_file import leaderboard_table
from survfuse.reporting.pages import FailedPage
from survfuse.reporting.pictures.drawing import Drawing
from survfuse.reporting.pictures.forest import ForestRow, forest
from survfuse.reporting.saved_files import Saved
from survfuse.reporting.sections import explanations, provenance
from survfuse.reporting.sections.imaging import imaging_context
from survfuse.reporting.sections.manifest_notes import manifest_notes
from survfuse.reporting.sections.patient_flow import flow_of
from survfuse.reporting.sections.read_counts import other_notes, reads
from survfuse.reporting.sections.slides import quarantine_rows, slide_counts
from survfuse.reporting.sections.unread import unread_sentences
from survfuse.reporting.survival import figures
from survfuse.reporting.survival.metric_tables import metric_tables, scarce_horizons
from survfuse.statistics.comparison import LEAST_EVENTS
from survfuse.tasks.survival.metrics import METRICS, RANKING

# Figures of every model of a long leaderboard would bury the rest of the page.
MOST_DRAWN = 3


def cohort_context(
    config: Config, data: ReportData, failed: Sequence[FailedPage] = ()
) -> dict[str, Any]:
    """Everything the template prints. `failed`: pages of patients that could not be written."""
    evaluation = data.evaluation
    rows = evaluation["rows"]
    verdict = findings.verdict(evaluation)
    pages = page_ids(config, data)
    reference = findings.row_of(evaluation, evaluation["reference"])
    oracle_row = next((row for row in rows if row["role"] == "oracle"), None)
    alone, alone_patients = findings.alone(rows)
    axis = findings.forest_axis(rows)
    oracle = (RANKING.found(oracle_row) or {}).get("value")
    describe = partial(describe_row, data.cohort["modalities"])
    curves, calibrations = risk_group_figures(config, data), calibration_figures(config, data)
    explained = explanations.model_explanations(evaluation)
    counts = {"n": evaluation["n_patients"], "events": evaluation["n_events"]}
    months = {f"{h:g}": f"{h:g}_months" for h in evaluation["horizons_months"]}
    return {
        **common_context(config, data),
        **cohort_words(config, data, manifest_notes(data.slides, data.volumes)),
        "cohort": data.cohort,
        "evaluation": evaluation,
        "model_count": sum(row["role"] not in ("control", "oracle") for row in rows),
        "verdict": verdict,
        "tested": sum(map(len, (verdict.better, verdict.worse, verdict.unclear, verdict.unknown))),
        "comparisons": findings.comparisons(evaluation),
        "leaking_controls": findings.suspicious(evaluation, "control"),
        "telling_sites": findings.suspicious(evaluation, "site"),
        "reference": reference,
        "oracle": oracle,
        "axis": axis,
        "describe": describe,
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
        "reasons": findings.reasons,
        "scored": [row for row in rows if row["role"] != "oracle"],
        "difference_method": next((c["method"] for c in evaluation["comparisons"]), None),
        "convention": (RANKING.found(reference) or {}).get("convention"),
        "scarce": scarce_horizons(evaluation),
        **metric_tables(config, evaluation),
        "most_drawn": MOST_DRAWN
        if sum(r["role"] in COMBINING for r in rows) > MOST_DRAWN
        else None,
        "curves": curves,
        "calibrations": calibrations,
        "explained": explained,
        "observed": {h: observed_risk(data, h) for h in evaluation["horizons_months"]},
        "slides": slide_counts(data.slides),
        "quarantine": quarantine_rows(data.slides),
        "gene_transforms": transforms_in_words(config.omics),
        "imaging": imaging_context(config, data),
        "covariates": disclosure.covariate_rows(data.cohort, config.report.min_cell),
        "sites": disclosure.site_rows(data.cohort["sites"], config.report.min_cell),
        "fold_sizes": fold_sizes(data),
        "members": ensemble_size(config),
        "without": done_without(data.cohort["modalities"]),
        "pages": [page for page in pages if page not in {one.patient_id for one in failed}],
        "failed": failed,
        "page_label": page_label(config, data) if pages else None,
        "page_note": findings.page_model_note(config, evaluation) if pages else None,
        "provenance": provenance.facts(config, data),
        "saved": Saved(),
        "drawings": [
            leaderboard_figure(rows, RANKING.name, findings.PARTS, describe, reference, axis,
                               RANKING.label, oracle),
            *curves,
            *calibrations,
            *(explanations.contribution_figure(one) for one in explained if one.rows),
        ],
        "tables": {
            "flow": flow_of(data.cohort, config.report.min_cell).table(),
            "leaderboard": leaderboard_table(
                evaluation, counts, METRICS.values(), RANKING, months, config.report.min_cell
            )
        },
    }  # fmt: skip


def leaderboard_figure(
    rows: Sequence[findings.Row],
    metric: str,
    headings: Sequence[tuple[str, Sequence[str]]],
    describe: Callable[[findings.Row], str],
    reference: findings.Row | None,
    axis: findings.Axis,
    measure: str,
    oracle: float | None,
) -> Drawing:
    """The leaderboard as a forest plot, as the page has it in its table."""
    lines: dict[str, tuple[float, str, Any]] = {"chance": (0.5, "#6b757e", (0, (1, 2)))}
    at_reference = (findings.metric(reference, metric) or {}).get("value")
    if reference is not None and at_reference is not None:
        lines[str(reference["label"])] = (at_reference, "#0072b2", "-")
    if oracle is not None:
        lines["oracle"] = (oracle, "#b8480a", (0, (4, 2)))
    sorts = {"control": "aside", "oracle": "aside", **dict.fromkeys(COMBINING, "combining")}
    shown = [
        ForestRow(heading, row["label"], describe(row), row[metric] or {},
                  sorts.get(row["role"], "plain"))
        for heading, found in findings.parts(rows, headings)
        for row in found
    ]  # fmt: skip
    limits = (axis.low, axis.high)
    return forest(shown, lines, limits, measure, "leaderboard", "Comparison of models")


def cohort_words(config: Config, data: RunData, notes: Sequence[str]) -> dict[str, Any]:
    """What the cohort reports of all tasks say in the same way. `notes` on the manifests."""
    evaluation, least = data.evaluation, config.report.min_cell
    return {
        "title": config.report.title or config.name,
        "flow": flow_of(data.cohort, least),
        "feature_tables": {name: MODALITIES[name].label for name in data.tables},
        "notes_on_data": [*other_notes(data.cohort.get("notes", []), evaluation), *notes],
        "left_out": evaluation.get("left_out", []),
        "evaluation_notes": [
            *unread_sentences(evaluation),
            *other_notes(evaluation["notes"], evaluation),
        ],
        "reads": partial(reads, evaluation, least),
        "of_all": partial(disclosure.of_all, total=evaluation["n_patients"], least=least),
        "reads_told": any(row.get("n_read") is not None for row in evaluation["rows"]),
    }


def common_context(config: Config, data: ReportData) -> dict[str, Any]:
    """What the cohort report and the patient pages share."""
    return {
        "simulated": config.simulation is not None,  # a title alone says nothing of it
        "own_words": own_words(data),
        "few_events": data.evaluation["n_events"] < LEAST_EVENTS,
        "least_events": LEAST_EVENTS,
        "ranking": RANKING,
        "metric": findings.metric,
        "encoder": describe_encoder(config, data),
        "level": f"{100 * data.evaluation['confidence']:g} %",
        "min_cell": config.report.min_cell,
    }


def own_words(data: RunData) -> list[str]:
    """Names that the user gave: rows, sites and patients, whose wording is not ours."""
    rows = [row[key] for row in data.evaluation["rows"] for key in ("label", "model")]
    sites = [str(site["site"]) for site in data.cohort.get("sites") or ()]
    return [*rows, *sites, *data.study.patient_ids]


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
    pixels = (("mean", config.slides.mean), ("std", config.slides.std))
    settings = [f"{key} {', '.join(f'{v:g}' for v in values)}" for key, values in pixels if values]
    if config.slides.input_px:
        settings.append(f"{config.slides.input_px} pixels")
    if config.slides.pooling:
        settings.append(f"pooling {config.slides.pooling}")
    return {"untrained": False, "text": f"{name} ({'; '.join([weights, *settings])})."}


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


def risk_group_figures(config: Config, data: ReportData) -> list[Drawing]:
    """Kaplan-Meier figures by predicted risk, in the order of the leaderboard."""
    evaluation, least = data.evaluation, config.report.min_cell
    return [
        figures.risk_groups(
            disclosure.risk_group_rows(evaluation["risk_groups"][row["model"]], least),
            evaluation["horizons_months"],
            least,
            row["label"],
            f"risk_groups_{row['model']}",
        )
        for row in drawn_rows(config, data)
        if evaluation["risk_groups"].get(row["model"])
    ]


def calibration_figures(config: Config, data: ReportData) -> list[Drawing]:
    """Calibration figures, in the order of the leaderboard; empty panels are left out.

    So are points of fewer patients than may be shown.
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
            name = f"calibration_{row['model']}"
            found.append(figures.calibration(panels, row["label"], name))
    return found


def fold_sizes(data: RunData) -> str:
    """How many patients a test fold has: "16" or "15 to 17"."""
    sizes = [len(fold.test) for fold in data.study.folds]
    return f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"


def done_without(counts: Mapping[str, int]) -> list[str]:
    """Slides and genes, where they are not all that a cohort has."""
    there = [name for name in findings.MODALITIES if counts.get(name)]
    names = [findings.MODALITIES[name] for name in there if name in ("slides", "omics")]
    return names if len(there) > 1 else []


def ensemble_size(config: Config) -> int:
    """Trainings per fold of every network; 0 where no row is one."""
    networks = any(spec_of(model).family == "network" for model in config.models)
    return config.training.members if networks else 0
