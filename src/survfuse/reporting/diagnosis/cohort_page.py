"""The cohort report of a diagnosis: patients, images, models, and what PET is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survfuse.artifacts.evaluation import DiagnosisEvaluation
from survfuse.config.study import Config
from survfuse.evaluation.roles import COMBINING
from survfuse.reporting import disclosure, findings, wording
from survfuse.reporting.cohort_shell import cohort_shell, leaderboard_figure
from survfuse.reporting.columns import Columns
from survfuse.reporting.diagnosis import figures as diagnosis_figures
from survfuse.reporting.diagnosis.class_counts import class_rows, known_patients
from survfuse.reporting.diagnosis.confusion import confusions
from survfuse.reporting.diagnosis.inputs import DiagnosisData
from survfuse.reporting.diagnosis.metric_tables import facts_of, metric_tables
from survfuse.reporting.inputs import RunData
from survfuse.reporting.leaderboard_file import leaderboard_table
from survfuse.reporting.metric_tables import sentence_of
from survfuse.reporting.pages import FailedPage
from survfuse.reporting.pictures.calibration import calibration_panels, shown_points
from survfuse.reporting.pictures.drawing import Drawing
from survfuse.reporting.ranked import Ranked
from survfuse.reporting.sections.patient_flow import flow_of
from survfuse.reporting.sections.stack_members import stack_tables
from survfuse.tasks.diagnosis.asked import asked_of
from survfuse.tasks.diagnosis.evaluation import LEAST_OF_A_CLASS
from survfuse.tasks.diagnosis.metrics import metrics_of, ranking_of
from survfuse.tasks.diagnosis.predictions import WITHOUT

METRIC = "discrimination"  # the ranking metric over all repeats
MODELS = ("unimodal", *COMBINING)
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
ASSOCIATED = findings.Associated(
    above="is more frequent in the class",
    below="is less frequent in the class",
    unclear="is not shown to go with the class",
)
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


def diagnosis_context(
    config: Config, data: DiagnosisData, failed: Sequence[FailedPage] = ()
) -> dict[str, Any]:
    """Everything the template of the cohort report prints, as `cohort_page.cohort_context`."""
    evaluation, least = data.evaluation, config.report.min_cell
    rows = evaluation["rows"]
    ranking = ranking_of(len(evaluation["classes"]))
    ranked = Ranked(ranking, METRIC, MODELS, describe_inputs)
    drawn = drawn_rows(config, data)
    two = len(evaluation["classes"]) == 2
    curves = [row for row in drawn if row.get("roc")]
    figures = drawn_figures(curves, least) if two and curves else {}
    stacked = {row["model"]: row["label"] for row in rows if row["role"] in COMBINING}
    return {
        **cohort_shell(config, data, ranked, failed),
        **words_on_classes(config, data),
        "class_rows": class_rows(evaluation, least),
        "least_of_a_class": LEAST_OF_A_CLASS,
        **metric_tables(evaluation, least),
        "associations": findings.associations(evaluation, ASSOCIATED),
        "modality_ablations": modality_ablations(rows),
        "with_pet": with_pet_table(evaluation, least),
        "pet_words": PET_WORDS,
        "by_pet": by_pet_rows(rows, least),
        "policies": evaluation["policies"],
        "label_of": {row["model"]: row["label"] for row in rows},
        "synthesis": evaluation["synthesis"],
        "measures": MEASURES,
        "attainable": attainable_rows(evaluation),
        "confusions": confusions(drawn, least),
        "roc": figures.get("roc"),
        "calibration": figures.get("calibration"),
        "decision": figures.get("decision_curves"),
        "stacks": stack_tables(data.fits, stacked, "log-odds" if two else "linear predictor"),
        "about_ranking": sentence_of(ranking, facts_of(evaluation)),
        "drawings": [leaderboard_figure(evaluation, ranked), *figures.values()],
        "tables": {
            "flow": flow_of(data.cohort, least).table(),
            "leaderboard": whole_leaderboard(evaluation, least),
        },
    }


def drawn_figures(drawn: Sequence[findings.Row], least: int) -> dict[str, Drawing]:
    """The figures of a diagnosis of two classes, by name."""
    found = [
        diagnosis_figures.roc(drawn, "roc"),
        diagnosis_figures.decision(drawn, "decision_curves"),
    ]
    points = {row["model"]: shown_points(row["calibration_curve"], least) for row in drawn}
    if any(points.values()):
        labels = {row["model"]: row["label"] for row in drawn}
        found.append(calibration_panels({"": points}, labels, "calibration"))
    return {drawing.name: drawing for drawing in found}


def whole_leaderboard(evaluation: DiagnosisEvaluation, least: int) -> Columns:
    """All columns of all rows, for a file."""
    counts = {"n": int(evaluation["n_patients"]), "n_known": known_patients(evaluation, least)}
    counts |= {f"n_{row['name']}": row["n"] for row in class_rows(evaluation, least) if row["name"]}
    names = {str(number): name for number, name in enumerate(evaluation["classes"])}
    classes = len(evaluation["classes"])
    metrics, ranking = metrics_of(classes).values(), ranking_of(classes)
    return leaderboard_table(evaluation, counts, metrics, ranking, names, least, METRIC)


def words_on_classes(config: Config, data: DiagnosisData) -> dict[str, Any]:
    """What the cohort report and the patient pages say beside what those of all tasks say."""
    evaluation = data.evaluation
    asked = asked_of(config.cohort)
    by = f"by {wording.months(asked.horizon_months)}" if asked.horizon_months else ""
    return {
        "few_events": False,  # what rests on few patients of a class is said in sentences
        "known": known_patients(evaluation, config.report.min_cell),
        "classes": evaluation["classes"],
        "case": evaluation["classes"][1],
        "two": len(evaluation["classes"]) == 2,
        "by": by,
        "weighted": evaluation["horizon_months"] is not None,
        "share_of_case": share_of_case(evaluation, config.report.min_cell),
    }


def share_of_case(evaluation: DiagnosisEvaluation, least: int) -> Mapping[str, Any] | None:
    """The share of the second class in the whole cohort; None where its patients are withheld."""
    found: Mapping[str, Any] = evaluation["shares"][1]
    hidden = class_rows(evaluation, least)[1]["n"] is None
    return None if hidden or found["value"] is None else found


def describe_inputs(row: findings.Row) -> str:
    """What a row reads, in a few words."""
    if row["role"] == "oracle":
        return "the simulated truth"
    if row["role"] == "control":
        return "labels permuted in training"
    names = [findings.MODALITIES.get(name, name) for name in row["modalities"]]
    return wording.capitalize_first(wording.listed(names))


def drawn_rows(config: Config, data: RunData) -> list[findings.Row]:
    """The rows that get figures: the reference, the best models, that of the patient pages."""
    rows = data.evaluation["rows"]
    best = [row["model"] for row in rows if row["role"] in MODELS][:MOST_DRAWN]
    named = {data.evaluation["reference"], config.report.model, *best}
    return [row for row in rows if row["model"] in named]


def modality_ablations(rows: Sequence[findings.Row]) -> dict[str, Any]:
    """The rows that have modality ablations, the ablations that any of them has, and why not all.

    That is, why a loss or its interval is lacking, with the rows and ablations.
    """
    shown = [row for row in rows if row.get("ablations") and row["role"] != "control"]
    order = [*findings.MODALITIES, *(WITHOUT + name for name in findings.MODALITIES)]
    ablations = [name for name in order if any(name in row["ablations"] for row in shown)]
    reasons: dict[str, list[str]] = {}
    for row in shown:
        for name, part in row["ablations"].items():
            if why := part["difference"].get("reason"):
                place = wording.within_sentence(ablation_name(name))
                reasons.setdefault(why, []).append(f"{row['label']}, {place}")
    return {
        "rows": shown,
        "names": {name: ablation_name(name) for name in ablations},
        "reasons": list(reasons.items()),
    }


def ablation_name(ablation: str) -> str:
    """An ablation as the heading of a column."""
    if ablation.startswith(WITHOUT):
        return f"Real {findings.MODALITIES[ablation.removeprefix(WITHOUT)]} withheld"
    return f"{wording.capitalize_first(findings.MODALITIES[ablation])} only"


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


def with_pet_table(evaluation: DiagnosisEvaluation, least: int) -> Mapping[str, Any] | None:
    """All rows on the patients who have a PET; None where nobody compared them or too few do."""
    found: Mapping[str, Any] | None = evaluation["with_pet"]
    return found if found and found["n"] >= least else None


def attainable_rows(evaluation: DiagnosisEvaluation) -> list[tuple[str, str, float]]:
    """Key, inputs in words, and the AUROC that they could reach, as the simulation knows."""
    attainable = evaluation["attainable"] or {}
    return [(key, name, attainable[key]) for key, name in INPUTS.items() if key in attainable]
