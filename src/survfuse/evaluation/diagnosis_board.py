"""The leaderboard of a diagnosis: all models side by side, with intervals and plain statements."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.config import Config
from survfuse.errors import UserInputError
from survfuse.evaluation.availability import read_availability
from survfuse.evaluation.class_rows import (
    ClassRow,
    class_place,
    read_class_row,
    require_class_rows,
)
from survfuse.evaluation.class_scores import score_availability, score_row, score_truth
from survfuse.evaluation.diagnosis import compare_diagnoses
from survfuse.evaluation.diagnosis_statements import statements
from survfuse.evaluation.labelled import LabelledStudy, read_labelled
from survfuse.evaluation.missing_pet import compare_policies
from survfuse.evaluation.rows import read_true_risk, rivals
from survfuse.evaluation.same_patients import compare_with_pet
from survfuse.evaluation.synthesis_measures import collect_synthesis
from survfuse.files import read_json, sha256_file, write_json

log = logging.getLogger(__name__)

TASK = "diagnosis"
METHOD = "DeLong, paired, within folds"


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
    """Score the out-of-fold diagnoses of all models and write evaluation.json.

    `predictions_directory` holds {model}.tsv and {model}.patterns.tsv. `truth`: table of
    patient_id and log_hazard of a simulated cohort, which adds the oracle row; where truth.json
    lies beside it, what each set of inputs could reach is told too. `availability`: table of who
    has which modality. `synthesis`: directory with the fold folders of the synthesis stage.

    Raises UserInputError without `cohort.diagnosis`, if a mandatory row is missing, or if a table
    is wrong or does not match the splits.
    """
    asked = config.cohort.diagnosis
    if asked is None:
        raise UserInputError("cohort.diagnosis is not set in the configuration; evaluate survival")
    require_class_rows(config.models, config.evaluation)
    confidence, reference = config.evaluation.confidence, config.evaluation.reference
    study = read_labelled(outcomes, splits, asked.classes)
    rows = [
        read_class_row(model, config.models, reference, predictions_directory, study)
        for model in config.models
    ]
    present = read_availability(availability, study) if availability else {}
    scored = [score_row(row, confidence) for row in rows]
    risk = read_true_risk(truth, study) if truth and len(study.classes) == 2 else None
    if risk is not None:
        scored.append(score_truth(risk, rows[0], confidence))
    scored.sort(key=class_place)
    comparisons = compare_rows(rows, [row["model"] for row in scored], reference, confidence)
    policies = compare_policies(rows, confidence)
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
        "notes": statements(study, scored, comparisons, policies, reference, confidence),
    }
    write_json(out, result)
    log.info("%d rows scored on %d folds", len(rows), len(study.folds))


def counts(study: LabelledStudy, present: dict[str, np.ndarray]) -> dict[str, Any]:
    """Patients by what is known of them; `with` counts those who have a modality."""
    known = study.label >= 0
    return {
        "known": int(known.sum()),
        "unknown": int((~known).sum()),
        "classes": [int((study.label == k).sum()) for k in range(len(study.classes))],
        "with": {name: int(has.sum()) for name, has in present.items()},
    }


def compare_rows(
    rows: Sequence[ClassRow], order: Sequence[str], reference: str, confidence: float
) -> list[dict[str, Any]]:
    """Every model against its rivals. `order`: names of the rows, the best first."""
    ranked = sorted(rows, key=lambda row: order.index(row.model))
    by_name = {row.model: row for row in rows}
    best = {row.role: row.model for row in reversed(ranked)}
    found = []
    for row in ranked:
        for other in rivals(row, best, reference):
            compared = compare_diagnoses(row.every, by_name[other].every, confidence)
            difference = compared["auroc"]
            found.append(
                {
                    "model": row.model,
                    "reference": other,
                    "metric": "auroc",
                    "n": len(row.first.known()),
                    "difference": difference.pop("value"),
                    **difference,
                    "brier": compared["brier"],
                    "method": METHOD,
                }
            )
    return found


def attainable(truth: Path) -> dict[str, float] | None:
    """AUROC that each set of inputs could reach, as the simulation of the cohort computed it."""
    summary = truth.with_suffix(".json")
    if not summary.is_file():
        return None
    told = read_json(summary).get("auroc")
    if not isinstance(told, dict):
        return None
    return {str(name): float(value) for name, value in told.items()}
