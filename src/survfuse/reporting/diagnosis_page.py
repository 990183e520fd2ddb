"""The cohort report of a diagnosis: patients, images, models, and what PET is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survfuse.config import Config
from survfuse.evaluation.class_predictions import WITHOUT
from survfuse.evaluation.rows import COMBINING
from survfuse.reporting import diagnosis_figures, disclosure, findings, provenance, wording
from survfuse.reporting.cohort_page import ensemble_size, fold_sizes, page_ids, page_label
from survfuse.reporting.diagnosis_inputs import DiagnosisData, asked_of
from survfuse.reporting.imaging_section import imaging_context
from survfuse.reporting.inputs import RunData

METRIC = "discrimination"
MODELS = ("unimodal", *COMBINING)
PARTS = (
    ("For reference", ("site", "clinical")),
    ("Models, highest AUROC first", MODELS),
    ("For checking, not for use", ("control", "oracle")),
)
MOST_DRAWN = 3  # of the models
# Measure of synthesis: its name, decimals, and whether lower is better.
MEASURES = {
    "masked_mae": ("Mean absolute error in the brain", 3, True),
    "masked_psnr": ("PSNR in the brain, dB", 1, False),
    "masked_ssim": ("SSIM in the brain", 3, False),
    "whole_mae": ("Mean absolute error, whole volume", 3, True),
    "regional_mae": ("Error of regional means", 3, True),
    "regional_correlation": ("Correlation of regional means", 2, False),
    "departure_correlation": ("Correlation of what is peculiar to the patient", 2, False),
}
# What a model knows of the PET of somebody who has one.
PET_WORDS = {
    "truth": "(the simulated truth)",
    "real": "real",
    "synthetic": "synthetic in its place",
    "none": "withheld",
    "unread": "not among its inputs",
}
INPUTS = {
    "oracle": "Everything, tau included (oracle)",
    "real_pet": "Clinical data, MRI and real PET",
    "synthesisable_pet": "Clinical data, MRI and the best synthetic PET",
    "mri+clinical": "Clinical data and MRI",
    "mri": "MRI alone",
    "clinical": "Clinical data alone",
    "site": "Site alone",
}


def diagnosis_context(config: Config, data: DiagnosisData) -> dict[str, Any]:
    """Everything the template of the cohort report prints."""
    evaluation = data.evaluation
    rows = evaluation["rows"]
    verdict = findings.verdict(evaluation, "auroc", MODELS)
    pages = page_ids(config, data)
    oracle = next((row for row in rows if row["role"] == "oracle"), None)
    drawn = drawn_rows(config, data)
    least = config.report.min_cell
    two = len(evaluation["classes"]) == 2
    return {
        **shared_context(config, data),
        "title": config.report.title,
        "model_count": sum(row["role"] not in ("control", "oracle") for row in rows),
        "class_rows": class_rows(evaluation, least),
        "verdict": verdict,
        "tested": sum(map(len, (verdict.better, verdict.worse, verdict.unclear, verdict.unknown))),
        "comparisons": findings.comparisons(evaluation, "auroc"),
        "leaking_controls": findings.suspicious(evaluation, "control", METRIC),
        "telling_sites": findings.suspicious(evaluation, "site", METRIC),
        "oracle": None if oracle is None else oracle[METRIC]["value"],
        "axis": findings.forest_axis(rows, METRIC),
        "describe": describe_inputs,
        "parts": lambda found: findings.parts(found, PARTS),
        "combining": COMBINING,
        "scored": [row for row in rows if row["role"] != "oracle"],
        "has_threshold": any("at_threshold" in row for row in rows),
        "overlap": disclosure.overlap_rows(data.cohort, findings.MODALITIES, least),
        "associations": associations(evaluation),
        "missingness": config.training.missingness,
        "imaging": imaging_context(config, data),
        "shown_less": shown_less(rows),
        "with_pet": with_pet_table(evaluation, least),
        "pet_words": PET_WORDS,
        "by_pet": by_pet_rows(rows, least),
        "policies": evaluation["policies"],
        "label_of": {row["model"]: row["label"] for row in rows},
        "synthesis": evaluation["synthesis"],
        "measures": MEASURES,
        "attainable": attainable_rows(evaluation),
        "roc": diagnosis_figures.roc(drawn, "roc") if two and drawn else None,
        "calibration": diagnosis_figures.calibration(drawn, least, "calibration")
        if two and drawn
        else None,
        "decision": diagnosis_figures.decision(drawn, "decision") if two and drawn else None,
        "covariates": disclosure.covariate_rows(data.cohort, least),
        "sites": disclosure.site_rows(
            [{"events": 0, **site} for site in data.cohort["sites"]], least
        ),
        "fold_sizes": fold_sizes(data),
        "members": ensemble_size(config),
        "pages": pages,
        "page_label": page_label(config, data) if pages else None,
        "provenance": provenance.facts(config, data),
        "reasons": findings.reasons,
        "modality_names": findings.MODALITIES,
    }


def shared_context(config: Config, data: RunData) -> dict[str, Any]:
    """What the cohort report and the patient pages of a diagnosis share."""
    evaluation = data.evaluation
    asked = asked_of(config)
    by_source = config.simulation is not None
    by = f"by {wording.months(asked.horizon_months)}" if asked.horizon_months else ""
    return {
        "simulated": by_source or any(row["role"] == "oracle" for row in evaluation["rows"]),
        "encoder": {"untrained": False, "text": None},
        "level": f"{100 * evaluation['confidence']:g} %",
        "min_cell": config.report.min_cell,
        "known": known_patients(evaluation, config.report.min_cell),
        "cohort": data.cohort,
        "evaluation": evaluation,
        "classes": evaluation["classes"],
        "case": evaluation["classes"][1],
        "two": len(evaluation["classes"]) == 2,
        "by": by,
        "reference": findings.row_of(evaluation, evaluation["reference"]),
        "metric": findings.metric,
    }


def class_rows(evaluation: Mapping[str, Any], least: int) -> list[dict[str, Any]]:
    """Patients of each class and, where there are any, of unknown class; None is withheld."""
    counts = evaluation["counts"]
    shown = disclosure.withhold([*counts["classes"], counts["unknown"]], least, tell_zeros=True)
    names = [*evaluation["classes"], None]
    found = [{"name": name, "n": n} for name, n in zip(names, shown, strict=True)]
    return found if counts["unknown"] else found[:-1]


def known_patients(evaluation: Mapping[str, Any], least: int) -> int | None:
    """Patients of known class; None where the others are withheld."""
    withheld = class_rows(evaluation, least)[-1]["n"] is None and evaluation["counts"]["unknown"]
    return None if withheld else int(evaluation["counts"]["known"])


def associations(evaluation: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str, str]]:
    """What having each modality says of a class: the entry, the modality, and the finding."""
    found = []
    for entry in evaluation["availability"]:
        limits = findings.limits_of(entry)
        if limits is None:
            continue
        low, high = limits
        if low > 0.5:
            finding = "is more frequent in the class"
        elif high < 0.5:
            finding = "is less frequent in the class"
        else:
            finding = "is not shown to go with the class"
        found.append((entry, findings.MODALITIES[entry["modality"]], finding))
    return found


def describe_inputs(row: findings.Row) -> str:
    """What a row reads, in a few words."""
    if row["role"] == "oracle":
        return "the simulated truth"
    if row["role"] == "control":
        return "labels permuted in training"
    told = [findings.MODALITIES.get(name, name) for name in row["modalities"]]
    return wording.capitalize_first(wording.listed(told))


def drawn_rows(config: Config, data: RunData) -> list[findings.Row]:
    """The rows that get figures: the reference, the best models, that of the patient pages."""
    rows = data.evaluation["rows"]
    best = [row["model"] for row in rows if row["role"] in MODELS][:MOST_DRAWN]
    named = {data.evaluation["reference"], config.report.model, *best}
    return [row for row in rows if row["model"] in named and row.get("roc")]


def shown_less(rows: Sequence[findings.Row]) -> dict[str, Any]:
    """The rows that were also shown less, and the patterns that any of them has."""
    shown = [row for row in rows if row.get("patterns") and row["role"] != "control"]
    order = [*findings.MODALITIES, *(WITHOUT + name for name in findings.MODALITIES)]
    patterns = [name for name in order if any(name in row["patterns"] for row in shown)]
    return {"rows": shown, "patterns": patterns, "names": {p: pattern_name(p) for p in patterns}}


def pattern_name(pattern: str) -> str:
    """A pattern as the heading of a column."""
    if pattern.startswith(WITHOUT):
        return f"Real {findings.MODALITIES[pattern.removeprefix(WITHOUT)]} withheld"
    return f"{wording.capitalize_first(findings.MODALITIES[pattern])} only"


def by_pet_rows(rows: Sequence[findings.Row], least: int) -> list[dict[str, Any]]:
    """Rows of which some patients had a synthesised volume; both parts None if one is withheld."""
    found = []
    for row in rows:
        parts = row.get("by_pet", {})
        if row["role"] == "control" or not {"observed", "synthesised"} <= set(parts):
            continue
        names = ("observed", "synthesised")
        counts = disclosure.withhold([parts[name]["n"] for name in names], least)
        shown = {n: None if c is None else parts[n] for n, c in zip(names, counts, strict=True)}
        found.append({"row": row, **shown, "key": f"evaluation/rows/{row['model']}/by_pet"})
    return found


def with_pet_table(evaluation: Mapping[str, Any], least: int) -> Mapping[str, Any] | None:
    """All rows on the patients who have a PET; None where nobody compared them or too few do."""
    found: Mapping[str, Any] | None = evaluation["with_pet"]
    return found if found and found["n"] >= least else None


def attainable_rows(evaluation: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """Key, inputs in words, and the AUROC that they could reach, as the simulation knows."""
    told = evaluation.get("attainable") or {}
    return [(key, name, told[key]) for key, name in INPUTS.items() if key in told]
