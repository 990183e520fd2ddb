"""The leaderboard of a diagnosis: all models side by side, with intervals and plain statements."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.artifacts.layout import EvaluationFolder, PredictionsFolder
from survfuse.artifacts.split_record import verify_cohort, verify_splits
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json, sha256_file, write_json
from survfuse.evaluation.records import described, estimable, left_out_as_json, read_record
from survfuse.evaluation.repeats import repeat_notes
from survfuse.evaluation.synthesis_measures import collect_synthesis
from survfuse.statistics.availability import read_availability
from survfuse.statistics.censoring import share_by
from survfuse.statistics.delong import REFITTED
from survfuse.statistics.intervals import Estimate, NotEstimableError
from survfuse.statistics.proportions import proportion
from survfuse.tasks.diagnosis.evaluation import compare_diagnoses
from survfuse.tasks.diagnosis.missing_pet import compare_policies
from survfuse.tasks.diagnosis.risks import class_risks
from survfuse.tasks.diagnosis.rows import (
    ClassRow,
    class_sort_key,
    read_class_row,
    require_class_rows,
)
from survfuse.tasks.diagnosis.same_patients import compare_with_pet
from survfuse.tasks.diagnosis.scores import score_availability, score_row, score_truth
from survfuse.tasks.diagnosis.statements import statements
from survfuse.tasks.diagnosis.study import ClassStudy, read_labelled
from survfuse.tasks.survival.patient_risks import write_risks
from survfuse.tasks.survival.rows import comparators, read_true_risk

log = logging.getLogger(__name__)

TASK = "diagnosis"


def evaluate_diagnoses(
    config: Config,
    outcomes: Path,
    splits: Path,
    predictions_directory: Path,
    out: Path,
    truth: Path | None = None,
    availability: Path | None = None,
    synthesis: Path | None = None,
) -> None:
    """Score the out-of-fold diagnoses of all models; write evaluation.json.

    Of a diagnosis at a horizon also risks.tsv, every patient's risk by every model.

    `predictions_directory` holds {model}.tsv and {model}.ablations.tsv. `truth`: table of
    patient_id and log_hazard of a simulated cohort, which adds the oracle row; where truth.json
    lies beside it, what each set of inputs could reach is added. `availability`: table of who
    has which modality. `synthesis`: directory with the fold folders of the synthesis stage.

    Rows that could be fitted in no fold are left out. Raises UserInputError without
    `cohort.diagnosis`, if a mandatory row is missing, or if a table is wrong, was changed after it
    was written, or does not match the splits.
    """
    asked = config.cohort.diagnosis
    if asked is None:
        raise UserInputError("cohort.diagnosis is not set in the configuration; evaluate survival")
    require_class_rows(config.models, config.evaluation, config.left_out)
    records = {
        model.name: read_record(PredictionsFolder(predictions_directory).table(model.name))
        for model in config.models
    }
    kept, reference, without = estimable(config.models, config.evaluation.reference, records)
    without = [*config.left_out, *without]
    confidence = config.evaluation.confidence
    verify_cohort(splits, outcomes)
    verify_splits(splits)
    study = read_labelled(outcomes, splits, asked.classes, asked.horizon_months)
    rows = [
        read_class_row(model, config.models, reference, predictions_directory, study)
        for model in kept
    ]
    present = read_availability(availability, study) if availability else {}
    scored = [score_row(row, confidence) | described(row.model, records[row.model]) for row in rows]
    unsupported = [sentence for row in scored for sentence in row["not_estimable"]]
    risk = read_true_risk(truth, study) if truth and len(study.classes) == 2 else None
    if risk is not None:
        longest = max(rows, key=lambda row: row.n_repeats)
        scored.append(score_truth(risk, longest, confidence) | described("oracle", None))
    scored.sort(key=class_sort_key)
    comparisons = compare_rows(rows, [row["model"] for row in scored], reference, confidence)
    policies = compare_policies(rows, confidence)
    risks = {
        row.model: class_risks(
            study,
            row,
            PredictionsFolder(predictions_directory).ablations(row.model),
            asked.horizon_months,
            confidence,
            present,
        )
        for row in rows
        if asked.horizon_months is not None
    }
    result = {
        "task": TASK,
        "name": asked.name,
        "definition": asked.definition,
        "classes": list(asked.classes),
        "horizon_months": asked.horizon_months,
        "confidence": confidence,
        "reference": reference,
        "splits_sha256": sha256_file(splits),
        "n_patients": len(study.patient_ids),
        "n_folds": len(study.folds_of(0)),
        "n_repeats": study.n_repeats,
        "counts": counts(study, present),
        "shares": shares(study, asked.horizon_months, confidence),
        "rows": scored,
        "comparisons": comparisons,
        "policies": policies,
        "with_pet": compare_with_pet(rows, reference, risk, confidence),
        "availability": score_availability(present, study, confidence),
        "synthesis": collect_synthesis(
            synthesis,
            [f"r0f{fold.fold}" for fold in study.folds_of(0)],
            study.test_share,
            confidence,
        )
        if synthesis
        else [],
        "attainable": attainable(truth) if truth else None,
        "absolute_risk": {name: found.as_json() for name, found in risks.items()},
        "risks_sha256": write_risks(EvaluationFolder(out.parent).risks, study, risks)
        if risks
        else None,
        "left_out": left_out_as_json(without),
        "notes": [
            *(one.sentence for one in without),
            *unsupported,
            *repeat_notes(scored),
            *statements(study, scored, comparisons, policies, reference, confidence),
        ],
    }
    write_json(out, result)
    log.info("%d rows scored on %d folds", len(rows), len(study.folds))


def counts(study: ClassStudy, present: dict[str, np.ndarray]) -> dict[str, Any]:
    """Patients by what is known of them; `with` counts those who have a modality."""
    known = study.label >= 0
    return {
        "known": int(known.sum()),
        "unknown": int((~known).sum()),
        "classes": [int((study.label == k).sum()) for k in range(len(study.classes))],
        "with": {name: int(has.sum()) for name, has in present.items()},
    }


def shares(
    study: ClassStudy, horizon_months: float | None, confidence: float
) -> list[dict[str, Any]]:
    """The share of each class in the whole cohort, with its interval.

    At a horizon Kaplan-Meier's, of all patients; else that among the patients of known class.
    """
    if study.outcome is not None and horizon_months is not None:
        try:
            case = share_by(study.outcome, horizon_months, confidence)
        except NotEstimableError as error:
            return [Estimate(reason=str(error)).as_json()] * 2
        other = {"value": case.value, "low": case.high, "high": case.low}
        return [{k: None if v is None else 1 - v for k, v in other.items()}, case.as_json()]
    label = study.label[study.label >= 0]
    return [
        proportion(label == number, confidence, None).as_json()
        for number in range(len(study.classes))
    ]


def compare_rows(
    rows: Sequence[ClassRow], order: Sequence[str], reference: str, confidence: float
) -> list[dict[str, Any]]:
    """Every model against its comparators. `order`: names of the rows, the best first."""
    ranked = sorted(rows, key=lambda row: order.index(row.model))
    by_name = {row.model: row for row in rows}
    best = {row.role: row.model for row in reversed(ranked)}
    found = []
    for row in ranked:
        for other in comparators(row, best, reference):
            repeats = min(row.n_repeats, by_name[other].n_repeats)
            ours, theirs = (one.first_repeats(repeats).every for one in (row, by_name[other]))
            name = row.ranking.compared_as
            compared = compare_diagnoses(ours, theirs, confidence, row.ranking.compute, name)
            difference = compared[name]
            found.append(
                {
                    "model": row.model,
                    "reference": other,
                    "metric": name,
                    "n_repeats": repeats,
                    "n": len(row.first.known()),
                    "difference": difference.pop("value"),
                    **difference,
                    "brier": compared["brier"],
                    "method": REFITTED,
                }
            )
    return found


def attainable(truth: Path) -> dict[str, float] | None:
    """AUROC that each set of inputs could reach, as the simulation of the cohort computed it."""
    summary = truth.with_suffix(".json")
    if not summary.is_file():
        return None
    stored = read_json(summary).get("auroc")
    if not isinstance(stored, dict):
        return None
    return {str(name): float(value) for name, value in stored.items()}
