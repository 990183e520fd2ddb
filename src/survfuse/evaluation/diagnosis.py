"""Diagnosis by out-of-fold probabilities: one table of rows in, everything with intervals out.

A row is a patient, or a visit of one. AUROCs are computed within folds, like the C-index, because
every fold has a model of its own; proportions and calibration use all rows together. Rows whose
label is unknown (followed for less than the horizon without converting) are counted and left out:
they are censored, not stable. Where many are, judge the survival head instead, whose metrics weigh
for censoring.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from survfuse.classes import UNKNOWN
from survfuse.errors import UserInputError
from survfuse.evaluation.delong import (
    Difference,
    Influence,
    auroc_influence,
    delong,
    macro_auroc,
    macro_influence,
    paired_delong,
    unpaired_delong,
)
from survfuse.evaluation.intervals import Estimate, NotEstimableError
from survfuse.evaluation.probabilities import (
    brier,
    calibration_intercept,
    calibration_points,
    calibration_slope,
    mean_with_interval,
    net_benefit,
    observed_expected_ratio,
)
from survfuse.evaluation.proportions import decisions, mean_of, proportion

DECISION_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SUM_TOLERANCE = 1e-4  # probabilities of single precision do not sum to 1 exactly


@dataclass(frozen=True)
class Diagnosis:
    """Predictions of held-out rows, with what is true of them.

    `patient` (n,) names; `label` (n,) in 0..K-1, or UNKNOWN; `probability` (n, K); `fold` (n,) the
    outer fold, and with repeats one repeat at a time; `synthesised` (n,) whether a synthesised
    PET stood in for a missing one; `threshold` (n,) the one chosen on inner data of the row's
    fold, for two classes only: probability of class 1 at or above it means positive.
    """

    patient: np.ndarray
    label: np.ndarray
    probability: np.ndarray
    fold: np.ndarray
    synthesised: np.ndarray
    threshold: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.label)
        if self.probability.ndim != 2 or self.probability.shape[1] < 2:
            raise UserInputError("a diagnosis needs one probability per class, for 2 or more")
        for name in ("patient", "probability", "fold", "synthesised", "threshold"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise UserInputError(f"{name} has {len(column)} rows, but label has {n}")
        in_range = (self.probability >= 0) & (self.probability <= 1)
        whole = np.abs(self.probability.sum(axis=1) - 1) <= SUM_TOLERANCE
        wrong = np.flatnonzero(~(in_range.all(axis=1) & whole))
        if len(wrong):
            raise UserInputError(
                f"the probabilities of row {wrong[0]} ({self.patient[wrong[0]]}) are missing or do "
                "not sum to 1; predict every row that is evaluated"
            )
        classes = self.probability.shape[1]
        strange = np.flatnonzero((self.label < UNKNOWN) | (self.label >= classes))
        if len(strange):
            raise UserInputError(
                f"row {strange[0]} has the label {self.label[strange[0]]}; use 0 to {classes - 1}, "
                f"or {UNKNOWN} for unknown"
            )

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, kept: np.ndarray) -> Diagnosis:
        """The rows that `kept` marks, (n,) bool, or numbers."""
        threshold = None if self.threshold is None else self.threshold[kept]
        return replace(
            self,
            patient=self.patient[kept],
            label=self.label[kept],
            probability=self.probability[kept],
            fold=self.fold[kept],
            synthesised=self.synthesised[kept],
            threshold=threshold,
        )

    def of(self, patient: np.ndarray) -> Diagnosis:
        """The rows of these patients, in their order; each has exactly one."""
        row_of = {name: row for row, name in enumerate(self.patient)}
        return self.rows(np.array([row_of[name] for name in patient]))

    def known(self) -> Diagnosis:
        """The rows whose label is known."""
        return self.rows(self.label != UNKNOWN)

    def clusters(self) -> np.ndarray | None:
        """`patient` where one has several rows, else None."""
        return self.patient if len(np.unique(self.patient)) < len(self) else None


def evaluate_diagnosis(rows: Diagnosis, confidence: float = 0.95) -> dict[str, Any]:
    """Everything about one model, as JSON; `by_pet` once more for observed and synthesised PET."""
    known = rows.known()
    result: dict[str, Any] = {
        "rows": len(rows),
        "patients": len(np.unique(rows.patient)),
        "unknown_labels": len(rows) - len(known),
        **scores(known, confidence),
    }
    by_pet: dict[str, Any] = {}
    for name, kept in (("observed", ~known.synthesised), ("synthesised", known.synthesised)):
        if kept.any():
            by_pet[name] = scores(known.rows(kept), confidence)
    if len(by_pet) == 2 and rows.probability.shape[1] == 2:
        by_pet["auroc_observed_minus_synthesised"] = difference_json(between_pet(known, confidence))
    result["by_pet"] = by_pet
    return result


def scores(known: Diagnosis, confidence: float) -> dict[str, Any]:
    """Discrimination, decisions and calibration of rows with known labels."""
    counts = np.bincount(known.label, minlength=known.probability.shape[1]).tolist()
    if not len(known):
        return {"n": 0, "classes": counts}
    of_all = {"n": len(known), "classes": counts}
    if known.probability.shape[1] > 2:
        return {**of_all, **scores_of_classes(known, confidence)}
    return {**of_all, **scores_of_two(known, confidence)}


def scores_of_two(known: Diagnosis, confidence: float) -> dict[str, Any]:
    """Scores where the question is yes or no: is it class 1?"""
    probability, case, patient = known.probability[:, 1], known.label == 1, known.clusters()
    about = (probability, case, confidence, patient)
    result: dict[str, Any] = {
        "auroc": delong(*about, fold=known.fold).as_json(),
        "brier": brier(*about).as_json(),
        "observed_expected": observed_expected_ratio(*about).as_json(),
        "calibration_intercept": calibration_intercept(*about).as_json(),
        "calibration_slope": calibration_slope(*about).as_json(),
        "calibration_curve": calibration_points(*about),
        "decision_curve": net_benefit(probability, case, DECISION_THRESHOLDS, confidence, patient),
    }
    if known.threshold is not None:
        decided = decisions(probability >= known.threshold, case, confidence, patient)
        result["at_threshold"] = {
            name: value.as_json() if isinstance(value, Estimate) else value
            for name, value in vars(decided).items()
        }
    return result


def scores_of_classes(known: Diagnosis, confidence: float) -> dict[str, Any]:
    """Scores of three and more classes: one class against the others, then the mean."""
    patient = known.clusters()
    macro, each = macro_auroc(known.probability, known.label, confidence, patient, known.fold)
    chosen = known.probability.argmax(axis=1)
    recalls = []
    for number in range(known.probability.shape[1]):
        rows = known.label == number
        whose = None if patient is None else patient[rows]
        recalls.append(proportion(chosen[rows] == number, confidence, whose))
    truth = np.eye(known.probability.shape[1])[known.label]
    squared = ((known.probability - truth) ** 2).sum(axis=1)
    return {
        "macro_auroc": macro.as_json(),
        "auroc_of_class": [one.as_json() for one in each],
        "recall_of_class": [one.as_json() for one in recalls],
        "balanced_accuracy": mean_of(recalls).as_json(),
        "brier": mean_with_interval(squared, confidence, patient).as_json(),
    }


def between_pet(known: Diagnosis, confidence: float) -> Difference:
    """AUROC of the rows with observed PET minus that of the rows with synthesised PET."""
    found = []
    for kept in (~known.synthesised, known.synthesised):
        part = known.rows(kept)
        try:
            found.append(
                auroc_influence(part.probability[:, 1], part.label == 1, part.clusters(), part.fold)
            )
        except NotEstimableError as error:
            return Difference(Estimate(reason=str(error)), None)
    return unpaired_delong(found[0], found[1], confidence)


def compare_diagnoses(
    model: Diagnosis, reference: Diagnosis, confidence: float = 0.95
) -> dict[str, Any]:
    """Paired differences model - reference of AUROC and Brier score on the same rows.

    With more than two classes the AUROC is the mean over classes. Raises UserInputError where the
    rows differ, as a comparison on different patients is none.
    """
    for name in ("patient", "label", "fold"):
        if not np.array_equal(getattr(model, name), getattr(reference, name)):
            raise UserInputError(
                f"two models cannot be compared: {name} differs between their predictions; "
                "evaluate both on the same rows, in the same order"
            )
    if model.probability.shape != reference.probability.shape:
        raise UserInputError("two models cannot be compared: they know different classes")
    ours, theirs = model.known(), reference.known()
    terms = squared_error(ours) - squared_error(theirs)
    try:
        auroc = paired_delong(discrimination(ours), discrimination(theirs), confidence)
    except NotEstimableError as error:
        auroc = Difference(Estimate(reason=str(error)), None)
    return {
        "n": len(ours),
        "auroc": difference_json(auroc),
        "brier": mean_with_interval(terms, confidence, ours.clusters()).as_json(),
    }


def discrimination(known: Diagnosis) -> Influence:
    """The AUROC of rows with known labels, the mean over classes where there are more than two.

    Raises NotEstimableError where it cannot be computed.
    """
    about = (known.clusters(), known.fold)
    if known.probability.shape[1] == 2:
        return auroc_influence(known.probability[:, 1], known.label == 1, *about)
    return macro_influence(known.probability, known.label, *about)[0]


def squared_error(known: Diagnosis) -> np.ndarray:
    """Squared error of every row (n,), summed over classes; of two classes that of one."""
    truth = np.eye(known.probability.shape[1])[known.label]
    squared: np.ndarray = ((known.probability - truth) ** 2).sum(axis=1)
    return squared / 2 if known.probability.shape[1] == 2 else squared


def difference_json(difference: Difference) -> dict[str, Any]:
    """A difference with its p-value, as JSON."""
    return {**difference.estimate.as_json(), "p_value": difference.p_value}
