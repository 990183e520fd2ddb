"""Diagnosis by out-of-fold probabilities: one table of rows in, everything with intervals out.

A row is a patient, or a visit of one. AUROCs and calibration slopes are computed within folds, like
the C-index, because every fold has a model of its own; all else uses all rows together. Rows whose
label is unknown (followed for less than the horizon without converting) are counted and left out:
they are censored, not stable. The others stand for them by their weights: see `censoring`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from survfuse.core.errors import UserInputError
from survfuse.statistics.delong import (
    Influence,
    refitting_interval,
    refitting_interval_of_difference,
)
from survfuse.statistics.intervals import Estimate, NotEstimableError, corrected_t
from survfuse.statistics.probabilities import calibration_points, mean_with_interval, net_benefit
from survfuse.tasks.diagnosis.metrics import AT_THRESHOLD, metrics_of
from survfuse.tasks.diagnosis.scored import (
    COLLAPSED,
    ClassPredictions,
    ScoredClasses,
    discrimination,
    squared_error,
)

Statistic = Callable[
    [ClassPredictions], Influence
]  # of rows with known labels, as `discrimination`

COUNTS = ("true_positive", "false_positive", "true_negative", "false_negative")
DECISION_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
MOST_PROBABLE, THRESHOLD = "most probable", "threshold"  # what a row is called
LEAST_OF_A_CLASS = 20  # known patients of the rarer class; fewer support no verdict


def evaluate_diagnosis(rows: ClassPredictions, confidence: float = 0.95) -> dict[str, Any]:
    """Everything about one model, as JSON; `by_pet` once more for observed and synthesised PET.

    Where the model has collapsed, its decisions have no estimates.
    """
    known, collapsed = rows.known(), rows.collapsed()
    result: dict[str, Any] = {
        "rows": len(rows),
        "patients": len(np.unique(rows.patient)),
        "unknown_labels": len(rows) - len(known),
        **scores(known, confidence, collapsed),
    }
    by_pet: dict[str, Any] = {}
    for name, kept in (("observed", ~known.synthesised), ("synthesised", known.synthesised)):
        if kept.any():
            by_pet[name] = scores(known.rows(kept), confidence, collapsed)
    if len(by_pet) == 2 and rows.probability.shape[1] == 2:
        by_pet["auroc_observed_minus_synthesised"] = between_pet(known, confidence).as_json()
    result["by_pet"] = by_pet
    return result


def scores(known: ClassPredictions, confidence: float, collapsed: bool) -> dict[str, Any]:
    """Every metric of rows with known labels, and what is drawn or counted of them."""
    classes = known.probability.shape[1]
    counts = np.bincount(known.label, minlength=classes).tolist()
    result: dict[str, Any] = {"n": len(known), "classes": counts}
    if not len(known):
        return result
    scored = ScoredClasses(known, confidence, collapsed)
    for metric in metrics_of(classes).values():
        if metric.within == AT_THRESHOLD and known.threshold is None:
            continue
        part = result.setdefault(metric.within, {}) if metric.within else result
        part[metric.name] = metric.score(scored)
    called = scored.chosen
    if classes == 2:
        threshold = 0.5 if known.threshold is None else known.threshold
        called = (scored.probability >= threshold).astype(int)
        result |= curves(scored)
    if known.threshold is not None and classes == 2:
        result[AT_THRESHOLD] |= {name: getattr(scored.decided, name) for name in COUNTS}
    rule = MOST_PROBABLE if known.threshold is None or classes > 2 else THRESHOLD
    result["confusion"] = {"rule": rule, "counts": confusion(known.label, called, classes)}
    return result


def curves(scored: ScoredClasses) -> dict[str, Any]:
    """What is drawn of two classes: points of the calibration curve and of the decision curve."""
    probability, case, confidence, patient, weight = scored.about
    return {
        "calibration_curve": calibration_points(*scored.about),
        "decision_curve": net_benefit(
            probability, case, DECISION_THRESHOLDS, confidence, patient, weight
        ),
    }


def confusion(label: np.ndarray, called: np.ndarray, classes: int) -> list[list[int]]:
    """How many rows of each class (first) were called each class (second), from labels (n,)."""
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (label, called), 1)
    found: list[list[int]] = counts.tolist()
    return found


def auroc(
    known: ClassPredictions, confidence: float, statistic: Statistic = discrimination
) -> Estimate:
    """The AUROC of rows with known labels, with an interval that covers refitting."""
    try:
        return refitting_interval(statistic(known), confidence)
    except NotEstimableError as error:
        return Estimate(reason=str(error))


def auroc_by_folds(
    rows: ClassPredictions, confidence: float, statistic: Statistic = discrimination
) -> Estimate:
    """The AUROC of a control, trained on labels that were permuted anew for every fold.

    The direction of its models is right or wrong by chance, which no variance over patients
    includes; but they are independent of one another. The interval is the corrected resampled
    t over folds and repeats. `rows` with those of unknown label; another `statistic` than the AUROC
    is averaged in the same way.
    """
    values, weights, shares = [], [], []
    for fold in np.unique(rows.fold):
        tested = rows.fold == fold
        shares.append(tested.sum() / (len(np.unique(rows.patient)) - tested.sum()))
        known = rows.rows(tested).known()
        try:
            values.append(statistic(known).value)
        except NotEstimableError:
            continue
        of_class = np.bincount(known.label, known.weight, known.probability.shape[1])
        weights.append((of_class * (of_class.sum() - of_class)).sum())
    if not values:
        return auroc(rows.known(), confidence, statistic)  # says why
    share = float(np.mean(shares))
    return corrected_t(np.array(values), np.array(weights), share, confidence, (0, 1))


def between_pet(known: ClassPredictions, confidence: float) -> Estimate:
    """AUROC of the rows with observed PET minus that of the rows with synthesised PET."""
    found = []
    for kept in (~known.synthesised, known.synthesised):
        try:
            found.append(discrimination(known.rows(kept)))
        except NotEstimableError as error:
            return Estimate(reason=str(error))
    return refitting_interval_of_difference(found[0].minus_of_others(found[1]), confidence)


def compare_diagnoses(
    model: ClassPredictions,
    reference: ClassPredictions,
    confidence: float = 0.95,
    statistic: Statistic = discrimination,
    name: str = "auroc",
) -> dict[str, Any]:
    """Paired differences model - reference of AUROC and Brier score on the same rows.

    With more than two classes the AUROC is the mean over classes. Another `statistic`, and its
    `name` in the result, may take its place. Its difference has no interval
    where the reference has collapsed, as nothing is shown by beating it, and `few` is true where
    the rarer class has fewer than LEAST_OF_A_CLASS patients. Raises UserInputError where the rows
    differ, as a comparison on different patients is none.
    """
    for column in ("patient", "label", "fold"):
        if not np.array_equal(getattr(model, column), getattr(reference, column)):
            raise UserInputError(
                f"two models cannot be compared: {column} differs between their predictions; "
                "evaluate both on the same rows, in the same order"
            )
    if model.probability.shape != reference.probability.shape:
        raise UserInputError("two models cannot be compared: they know different classes")
    ours, theirs = model.known(), reference.known()
    terms = squared_error(ours) - squared_error(theirs)
    few = False
    try:
        found = statistic(ours).minus(statistic(theirs))
        few = found.rarer < LEAST_OF_A_CLASS
        ranked = refitting_interval_of_difference(found, confidence)
        if reference.collapsed():
            ranked = Estimate(ranked.value, reason=f"nothing is shown against a row if {COLLAPSED}")
    except NotEstimableError as error:
        ranked = Estimate(reason=str(error))
    return {
        "n": len(ours),
        name: {**ranked.as_json(), "few": few},
        "brier": mean_with_interval(terms, confidence, ours.clusters(), ours.weight).as_json(),
    }
