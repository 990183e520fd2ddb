"""One row of a leaderboard of diagnoses, in the form that evaluation.json stores it."""

from __future__ import annotations

from typing import Any

import numpy as np

from survfuse.artifacts.layout import folds_in_words
from survfuse.evaluation.board import too_few_pairs
from survfuse.evaluation.rows import ORACLE
from survfuse.statistics.constant_predictions import collapsed_folds
from survfuse.statistics.delong import delong, interval
from survfuse.statistics.intervals import Estimate, NotEstimableError
from survfuse.statistics.roc import roc_curve
from survfuse.tasks.diagnosis.evaluation import (
    Statistic,
    auroc,
    auroc_by_folds,
    compare_diagnoses,
    evaluate_diagnosis,
)
from survfuse.tasks.diagnosis.rows import ClassRow
from survfuse.tasks.diagnosis.scored import ClassPredictions, ScoredClasses, of_true_risk
from survfuse.tasks.diagnosis.study import ClassStudy


def score_row(row: ClassRow, confidence: float) -> dict[str, Any]:
    """Everything about a row but its comparisons; of several repeats the first is scored.

    `discrimination` is the ranking metric (the AUROC, of more than two classes the mean over them)
    over all repeats with its interval and `per_fold`; `auroc_per_repeat` shows its variation over
    repeats. `roc` is the ROC curve. `collapsed` has a sentence for each repeat with constant
    predictions in a fold.
    """
    first, every, ranking = row.first, row.every, row.ranking
    known = every.known()

    def ranked(rows: ClassPredictions) -> dict[str, Any]:
        found: dict[str, Any] = ranking.score(ScoredClasses(rows.known(), confidence))
        return found

    scored = {
        **row.heading(),
        "n_repeats": row.n_repeats,
        **evaluate_diagnosis(first, confidence),
        "collapsed": collapsed_sentences(row),
        "one_sided": one_sided_sentences(row),
        "synthesised": int(first.synthesised.sum()),
        "discrimination": {
            **ranked(every),
            "per_fold": per_fold(every, ranking.compute),
        },
        f"{ranking.compared_as}_per_repeat": [ranked(repeat)["value"] for repeat in row.repeats],
        "ablations": {
            name: score_class_ablation(first, one, confidence)
            for name, one in row.ablations.items()
        },
    }
    if row.role == "control":
        scored[ranking.name] = auroc_by_folds(first, confidence, ranking.compute).as_json()
        scored["discrimination"] |= auroc_by_folds(every, confidence, ranking.compute).as_json()
    if first.probability.shape[1] == 2:
        scored["roc"] = roc_curve(
            known.probability[:, 1], known.label == 1, known.fold, known.weight
        )
    return scored


def collapsed_sentences(row: ClassRow) -> list[str]:
    """A sentence for each repeat that has folds in which the row predicts one constant."""
    found = []
    for number, repeat in enumerate(row.repeats):
        if folds := collapsed_folds(repeat.probability, repeat.fold):
            where = folds_in_words(folds, number if len(row.repeats) > 1 else None)
            found.append(f"{row.label} gives all patients of {where} the same probability.")
    return found


def one_sided_sentences(row: ClassRow) -> list[str]:
    """A sentence where a row with differing predictions calls all patients of a fold the same."""
    first = row.first
    if first.threshold is None:
        return []
    positive = first.probability[:, 1] >= first.threshold
    constant = collapsed_folds(first.probability, first.fold)
    folds = [
        fold for fold in collapsed_folds(positive.astype(float), first.fold) if fold not in constant
    ]
    if not folds:
        return []
    where = folds_in_words(folds, 0 if len(row.repeats) > 1 else None)
    return [f"At its threshold {row.label} calls all patients of {where} the same class."]


def per_fold(rows: ClassPredictions, statistic: Statistic) -> list[float | None]:
    """A statistic of each fold; None where it cannot be computed."""
    found: list[float | None] = []
    for fold in np.unique(rows.fold):
        try:
            found.append(statistic(rows.rows(rows.fold == fold).known()).value)
        except NotEstimableError:
            found.append(None)
    return found


def score_class_ablation(
    everything: ClassPredictions, less: ClassPredictions, confidence: float
) -> dict[str, Any]:
    """A modality ablation, beside predictions of the same patients from all inputs.

    `auroc` with its interval, `all_inputs` (the AUROC of the same patients), and `difference` and
    `brier`: all inputs minus ablation, paired. None with a reason for fewer than LEAST_PAIRS pairs.
    """
    same = everything.of(less.patient)
    counted = {
        "n": len(less),
        "n_known": len(less.known()),
        "synthesised": int(less.synthesised.sum()),
    }
    if few := too_few_pairs(pairs_within(less.known())):
        nothing = few.as_json()
        return {**counted, "auroc": nothing, "all_inputs": None, "difference": nothing,
                "brier": nothing}  # fmt: skip
    compared = compare_diagnoses(same, less, confidence)
    return {
        **counted,
        "auroc": auroc(less.known(), confidence).as_json(),
        "all_inputs": auroc(same.known(), confidence).value,
        "difference": compared["auroc"],
        "brier": compared["brier"],
    }


def pairs_within(known: ClassPredictions) -> int:
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
    """The row of the true risk (n,) of simulated patients, scored on the folds of `row`.

    Nothing is trained here, so that DeLong's interval is right.
    """
    ranking = row.ranking
    truth = of_true_risk(np.tile(risk, len(row.repeats)), row.every)
    try:
        found = interval(ranking.compute(truth.known()), confidence).as_json()
    except NotEstimableError as error:
        found = Estimate(reason=str(error)).as_json()
    return {
        **ORACLE.heading(),
        "n_repeats": row.n_repeats,
        "collapsed": [],
        "one_sided": [],
        "n": len(row.first.known()),
        "synthesised": 0,
        ranking.name: found,
        "discrimination": {**found, "per_fold": []},
        "ablations": {},
    }


def score_availability(
    present: dict[str, np.ndarray], study: ClassStudy, confidence: float
) -> list[dict[str, Any]]:
    """AUROC of having each modality (n,) for each class against the others (of two: the second).

    Above 0.5, those who have it are more often of the class; nothing is trained, and the interval
    is DeLong's. `n` patients have a known label,
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
                estimate = delong(
                    has[known].astype(float), case, confidence, weight=study.weight[known]
                )
            entry = estimate.as_json()
            counted = {
                "modality": modality,
                "class": study.classes[number],
                "n_present": int(has[known].sum()),
                "n": int(known.sum()),
                "n_cases": int(case.sum()),
            }
            found.append({**counted, "auroc": entry.pop("value"), **entry})
    return found
