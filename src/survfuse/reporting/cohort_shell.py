"""What the cohort reports of all tasks print, whatever was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from survfuse.artifacts.evaluation import Evaluation
from survfuse.config.study import Config
from survfuse.evaluation.metrics import Metric
from survfuse.evaluation.roles import COMBINING
from survfuse.modalities.registry import MODALITIES
from survfuse.models.specs import spec_of
from survfuse.reporting import disclosure, findings
from survfuse.reporting.inputs import RunData
from survfuse.reporting.pages import FailedPage
from survfuse.reporting.pictures.drawing import Drawing
from survfuse.reporting.pictures.forest import ForestRow, forest
from survfuse.reporting.ranked import Ranked
from survfuse.reporting.saved_files import Saved
from survfuse.reporting.sections import provenance
from survfuse.reporting.sections.differences import other_differences, reasons_without
from survfuse.reporting.sections.of_modalities import modality_sections
from survfuse.reporting.sections.patient_flow import flow_of
from survfuse.reporting.sections.read_counts import other_notes, reads
from survfuse.reporting.sections.slides import describe_encoder
from survfuse.reporting.sections.unread import unread_sentences


def cohort_shell(
    config: Config,
    data: RunData,
    ranked: Ranked,
    failed: Sequence[FailedPage],
) -> dict[str, Any]:
    """What the templates of all cohort reports print.

    `failed`: pages of patients that could not be written.
    """
    sections = modality_sections(config, data)
    evaluation, least = data.evaluation, config.report.min_cell
    rows, compared_as = evaluation["rows"], ranked.metric.compared_as
    verdict = findings.verdict(evaluation, compared_as, ranked.compared)
    pages = page_ids(config, data)
    lost = {one.patient_id for one in failed}
    sites = [{"events": 0, **site} for site in data.cohort["sites"]]
    return {
        **page_shell(config, data, ranked.metric),
        **{key: value for section in sections for key, value in section.printed.items()},
        "title": config.report.title or config.name,
        "flow": flow_of(data.cohort, least),
        "feature_tables": {
            name: entry.label
            for name, entry in MODALITIES.items()
            if entry.is_table and entry.source in data.brought
        },
        "notes_on_data": [
            *other_notes(data.cohort.get("notes", []), evaluation),
            *(note for section in sections for note in section.notes),
        ],
        "left_out": evaluation["left_out"],
        "published_folds": config.cohort.folds is not None,
        "evaluation_notes": [
            *unread_sentences(evaluation),
            *other_notes(evaluation["notes"], evaluation),
        ],
        "reads": partial(reads, evaluation, least),
        "of_all": partial(disclosure.of_all, total=evaluation["n_patients"], least=least),
        "reads_told": any(row.get("n_read") is not None for row in rows),
        "model_count": sum(row["role"] not in ("control", "oracle") for row in rows),
        "verdict": verdict,
        "tested": sum(map(len, (verdict.better, verdict.worse, verdict.unclear, verdict.unknown))),
        "comparisons": findings.comparisons(evaluation, compared_as),
        "not_compared": reasons_without(evaluation, compared_as),
        "other_differences": other_differences(evaluation, compared_as),
        "leaking_controls": findings.suspicious(evaluation, "control", ranked.key),
        "telling_sites": findings.suspicious(evaluation, "site", ranked.key),
        "oracle": ranked.value(oracle_of(rows)),
        "axis": findings.forest_axis(rows, ranked.key),
        "describe": ranked.describe,
        "ranked_key": ranked.key,
        "parts": lambda found: findings.parts(found, ranked.headings),
        "combining": COMBINING,
        "scored": [row for row in rows if row["role"] != "oracle"],
        "reasons": findings.reasons,
        "modality_names": findings.MODALITIES,
        "overlap": disclosure.overlap_rows(data.cohort, findings.MODALITIES, least),
        "missingness": config.training.missingness,
        "covariates": disclosure.covariate_rows(data.cohort, least),
        "sites": disclosure.site_rows(sites, least),
        "fold_sizes": fold_sizes(data),
        "members": ensemble_size(config),
        "pages": [page for page in pages if page not in lost],
        "failed": failed,
        "page_label": page_label(config, data) if pages else None,
        "page_note": findings.page_model_note(config, evaluation) if pages else None,
        "provenance": provenance.facts(config, data),
        "saved": Saved(),
    }


def page_shell(config: Config, data: RunData, ranking: Metric[Any, Any, Any]) -> dict[str, Any]:
    """What the templates of all pages print, of cohorts and of patients."""
    evaluation = data.evaluation
    return {
        "simulated": config.simulation is not None,  # a title alone says nothing of it
        "own_words": own_words(data),
        "cohort": data.cohort,
        "evaluation": evaluation,
        "reference": findings.row_of(evaluation, evaluation["reference"]),
        "ranking": ranking,
        "encoder": describe_encoder(config, data),
        "metric": findings.metric,
        "level": f"{100 * evaluation['confidence']:g} %",
        "min_cell": config.report.min_cell,
    }


def own_words(data: RunData) -> list[str]:
    """Names that the user gave: rows, sites and patients, whose wording is not ours."""
    rows = [row[key] for row in data.evaluation["rows"] for key in ("label", "model")]
    sites = [str(site["site"]) for site in data.cohort.get("sites") or ()]
    return [*rows, *sites, *data.study.patient_ids]


def oracle_of(rows: Sequence[findings.Row]) -> findings.Row | None:
    """The row of the simulated truth, if there is one."""
    return next((row for row in rows if row["role"] == "oracle"), None)


def leaderboard_figure(evaluation: Evaluation, ranked: Ranked) -> Drawing:
    """The leaderboard as a forest plot, as the page has it in its table."""
    rows = evaluation["rows"]
    reference = findings.row_of(evaluation, evaluation["reference"])
    lines: dict[str, tuple[float, str, Any]] = {"chance": (0.5, "#6b757e", (0, (1, 2)))}
    at_reference, oracle = ranked.value(reference), ranked.value(oracle_of(rows))
    if reference is not None and at_reference is not None:
        lines[str(reference["label"])] = (at_reference, "#0072b2", "-")
    if oracle is not None:
        lines["oracle"] = (oracle, "#b8480a", (0, (4, 2)))
    sorts = {"control": "aside", "oracle": "aside", **dict.fromkeys(COMBINING, "combining")}
    shown = [
        ForestRow(
            heading,
            row["label"],
            ranked.describe(row),
            row[ranked.key] or {},
            sorts.get(row["role"], "plain"),
        )
        for heading, found in findings.parts(rows, ranked.headings)
        for row in found
    ]
    axis = findings.forest_axis(rows, ranked.key)
    limits = (axis.low, axis.high)
    return forest(shown, lines, limits, ranked.metric.label, "leaderboard", "Comparison of models")


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


def fold_sizes(data: RunData) -> str:
    """How many patients a test fold has: "16" or "15 to 17"."""
    sizes = [len(fold.test) for fold in data.study.folds]
    return f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"


def ensemble_size(config: Config) -> int:
    """Trainings per fold of every network; 0 where no row is one."""
    networks = any(spec_of(model).network for model in config.models)
    return config.training.members if networks else 0
