"""The leaderboard of a diagnosis: all models side by side, with intervals and plain statements."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.artifacts.evaluation import DiagnosisEvaluation
from survfuse.artifacts.layout import fold_name
from survfuse.config.study import Config
from survfuse.core.files import read_json, write_json
from survfuse.evaluation.board import (
    common_part,
    compare_rows,
    notes_on_rows,
    read_candidates,
)
from survfuse.evaluation.files import EvaluationFiles
from survfuse.evaluation.mandatory import require_rows
from survfuse.evaluation.repeats import repeat_notes
from survfuse.evaluation.risks import write_risks
from survfuse.evaluation.rows import order_of
from survfuse.evaluation.synthesis_measures import collect_synthesis
from survfuse.evaluation.truth import read_true_risk
from survfuse.statistics.availability import read_availability
from survfuse.statistics.censoring import share_by
from survfuse.statistics.delong import REFITTED
from survfuse.statistics.intervals import Estimate, NotEstimableError
from survfuse.statistics.proportions import proportion
from survfuse.tasks.diagnosis.asked import NAME, asked_of
from survfuse.tasks.diagnosis.evaluation import compare_diagnoses
from survfuse.tasks.diagnosis.mandatory import MANDATORY
from survfuse.tasks.diagnosis.pet.missing import compare_policies
from survfuse.tasks.diagnosis.pet.same_patients import compare_with_pet
from survfuse.tasks.diagnosis.risks import class_risks
from survfuse.tasks.diagnosis.rows import ClassRow, read_class_row
from survfuse.tasks.diagnosis.scores import score_availability, score_row, score_truth
from survfuse.tasks.diagnosis.statements import notes, statements
from survfuse.tasks.diagnosis.study import ClassStudy, read_labelled

log = logging.getLogger(__name__)


def evaluate_diagnoses(config: Config, files: EvaluationFiles) -> None:
    """Score the out-of-fold diagnoses of all models; write evaluation.json.

    Of a diagnosis at a horizon also risks.tsv, every patient's risk by every model. The truth of a
    simulated cohort adds the oracle row and, where truth.json lies beside it, what each set of
    inputs could reach.

    Rows that could be fitted in no fold are left out. Raises UserInputError without
    `cohort.diagnosis`, if a mandatory row is missing, or if a table is wrong, was changed after it
    was written, or does not match the splits.
    """
    asked = asked_of(config.cohort)
    require_rows(MANDATORY, config.models, config.evaluation.reference, config.left_out)
    candidates = read_candidates(files, config.models, config.evaluation.reference, config.left_out)
    reference, confidence = candidates.reference, config.evaluation.confidence
    study = read_labelled(files.outcomes, files.splits, asked.classes, asked.horizon_months)
    rows = [
        read_class_row(model, config.models, reference, files, study) for model in candidates.models
    ]
    present = read_availability(files.availability, study) if files.availability else {}
    scored = [score_row(row, confidence) | candidates.described(row.model) for row in rows]
    told = notes_on_rows(candidates, scored)
    risk = read_true_risk(files.truth, study) if files.truth and len(study.classes) == 2 else None
    if risk is not None:
        longest = max(rows, key=lambda row: row.n_repeats)
        scored.append(score_truth(risk, longest, confidence) | candidates.described("oracle"))
    scored.sort(key=lambda row: order_of(row, row["discrimination"]["value"]))
    order = [row["model"] for row in scored]
    comparisons = compare_rows(
        sorted(rows, key=lambda row: order.index(row.model)), reference, comparison(confidence)
    )
    policies = compare_policies(rows, confidence)
    risks = {
        row.model: class_risks(
            study,
            row,
            files.ablations(row.model),
            asked.horizon_months,
            confidence,
            present,
        )
        for row in rows
        if asked.horizon_months is not None
    }
    result: DiagnosisEvaluation = {
        **common_part(files, candidates, study, confidence, scored),
        "task": NAME,
        "name": asked.name,
        "definition": asked.definition,
        "classes": list(asked.classes),
        "horizon_months": asked.horizon_months,
        "counts": counts(study, present),
        "shares": shares(study, asked.horizon_months, confidence),
        "comparisons": comparisons,
        "policies": policies,
        "with_pet": compare_with_pet(rows, reference, risk, confidence),
        "availability": score_availability(present, study, confidence),
        "synthesis": collect_synthesis(
            files.synthesis,
            [fold_name(0, fold.fold) for fold in study.folds_of(0)],
            study.test_share,
            confidence,
        )
        if files.synthesis
        else [],
        "attainable": attainable(files.truth) if files.truth else None,
        "absolute_risk": {name: found.as_json() for name, found in risks.items()},
        "risks_sha256": write_risks(files.risks, study, risks) if risks else None,
        "notes": [
            *told,
            *repeat_notes(scored),
            *notes(study, scored),
        ],
        "statements": statements(study, scored, comparisons, policies, reference, confidence),
    }
    write_json(files.out, result)
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


def comparison(confidence: float) -> Callable[[ClassRow, ClassRow, int], dict[str, Any]]:
    """How two rows are compared, in the folds of the first repeats."""

    def compare(row: ClassRow, other: ClassRow, repeats: int) -> dict[str, Any]:
        ours, theirs = (one.first_repeats(repeats).every for one in (row, other))
        name = row.ranking.compared_as
        compared = compare_diagnoses(ours, theirs, confidence, row.ranking.compute, name)
        difference = compared[name]
        return {
            "metric": name,
            "n": len(row.first.known()),
            "difference": difference.pop("value"),
            **difference,
            "brier": compared["brier"],
            "method": REFITTED,
        }

    return compare


def attainable(truth: Path) -> dict[str, float] | None:
    """AUROC that each set of inputs could reach, as the simulation of the cohort computed it."""
    summary = truth.with_suffix(".json")
    if not summary.is_file():
        return None
    stored = read_json(summary).get("auroc")
    if not isinstance(stored, dict):
        return None
    return {str(name): float(value) for name, value in stored.items()}
