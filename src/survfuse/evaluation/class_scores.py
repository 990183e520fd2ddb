"""One row of a leaderboard of diagnoses, in the form that evaluation.json stores it."""

from __future__ import annotations

from typing import Any

import numpy as np

from survfuse.evaluation.class_rows import ClassRow
from survfuse.evaluation.delong import delong, interval
from survfuse.evaluation.diagnosis import (
    Diagnosis,
    compare_diagnoses,
    discrimination,
    evaluate_diagnosis,
)
from survfuse.evaluation.intervals import Estimate, NotEstimableError
from survfuse.evaluation.labelled import LabelledStudy
from survfuse.evaluation.roc import roc_curve
from survfuse.evaluation.rows import ORACLE

# An AUROC of a handful of pairs is 0 or 1 by chance.
LEAST_PAIRS = 20


def score_row(row: ClassRow, confidence: float) -> dict[str, Any]:
    """Everything about a row but its comparisons; of several repeats the first is scored.

    `discrimination` is the AUROC (of more than two classes the mean over them) over all repeats
    with its interval and `per_fold`, and `roc` its curve; `auroc_per_repeat` tells how much another
    division would change it.
    """
    first, every = row.first, row.every
    known = every.known()
    scored = {
        **row.heading(),
        **evaluate_diagnosis(first, confidence),
        "synthesised": int(first.synthesised.sum()),
        "discrimination": {
            **ranked(every, confidence).as_json(),
            "per_fold": per_fold(every),
        },
        "auroc_per_repeat": [ranked(repeat, confidence).value for repeat in row.repeats],
        "patterns": {name: score_shown(first, one, confidence) for name, one in row.shown.items()},
    }
    if first.probability.shape[1] == 2:
        scored["roc"] = roc_curve(known.probability[:, 1], known.label == 1, known.fold)
    return scored


def ranked(rows: Diagnosis, confidence: float) -> Estimate:
    """The AUROC of rows with known labels, with its interval."""
    try:
        return interval(discrimination(rows.known()), confidence)
    except NotEstimableError as error:
        return Estimate(reason=str(error))


def per_fold(rows: Diagnosis) -> list[float | None]:
    """The AUROC of each fold; None where it cannot be computed."""
    found: list[float | None] = []
    for fold in np.unique(rows.fold):
        try:
            found.append(discrimination(rows.rows(rows.fold == fold).known()).value)
        except NotEstimableError:
            found.append(None)
    return found


def score_shown(everything: Diagnosis, less: Diagnosis, confidence: float) -> dict[str, Any]:
    """A model that is shown less, beside the same patients with everything shown.

    `auroc` with its interval, `all_inputs` (the AUROC of the same patients), and `difference` and
    `brier`: everything minus less, paired. Values are None with a reason below LEAST_PAIRS pairs.
    """
    same = everything.of(less.patient)
    counted = {
        "n": len(less),
        "n_known": len(less.known()),
        "synthesised": int(less.synthesised.sum()),
    }
    pairs = pairs_within(less.known())
    if pairs < LEAST_PAIRS:
        reason = (
            f"{pairs} pairs of patients can be compared within the folds; at least {LEAST_PAIRS} "
            "are needed"
        )
        nothing = Estimate(reason=reason).as_json()
        return {**counted, "auroc": nothing, "all_inputs": None, "difference": nothing,
                "brier": nothing}  # fmt: skip
    compared = compare_diagnoses(same, less, confidence)
    return {
        **counted,
        "auroc": ranked(less, confidence).as_json(),
        "all_inputs": ranked(same, confidence).value,
        "difference": compared["auroc"],
        "brier": compared["brier"],
    }


def pairs_within(known: Diagnosis) -> int:
    """Pairs of patients of the same fold and of different classes, of the class with the fewest."""
    counts = []
    for number in range(1 if known.probability.shape[1] == 2 else 0, known.probability.shape[1]):
        case = known.label == number
        counts.append(
            sum(
                int(case[known.fold == fold].sum() * (~case[known.fold == fold]).sum())
                for fold in np.unique(known.fold)
            )
        )
    return min(counts)


def score_truth(risk: np.ndarray, row: ClassRow, confidence: float) -> dict[str, Any]:
    """The row of the true risk (n,) of simulated patients, scored on the folds of `row`."""
    known = row.every.known()
    repeated = np.tile(risk, len(row.repeats))[row.every.label >= 0]
    found = delong(repeated, known.label == 1, confidence, known.clusters(), known.fold).as_json()
    return {
        **ORACLE.heading(),
        "n": len(row.first.known()),
        "synthesised": 0,
        "auroc": found,
        "discrimination": {**found, "per_fold": []},
        "patterns": {},
    }


def score_availability(
    present: dict[str, np.ndarray], study: LabelledStudy, confidence: float
) -> list[dict[str, Any]]:
    """AUROC of having each modality (n,) for each class against the others (of two: the second).

    Above 0.5, those who have it are more often of the class. `n` patients have a known label,
    `n_cases` of them the class and `n_present` the modality.
    """
    known = study.label >= 0
    numbers = [1] if len(study.classes) == 2 else list(range(len(study.classes)))
    found = []
    for modality, has in present.items():
        for number in numbers:
            case = study.label[known] == number
            if has[known].all() or not has[known].any():
                whose = "all" if has[known].all() else "none"
                estimate = Estimate(reason=f"{whose} of the patients have it")
            else:
                estimate = delong(has[known].astype(float), case, confidence)
            told = estimate.as_json()
            counted = {
                "modality": modality,
                "class": study.classes[number],
                "n_present": int(has[known].sum()),
                "n": int(known.sum()),
                "n_cases": int(case.sum()),
            }
            found.append({**counted, "auroc": told.pop("value"), **told})
    return found
