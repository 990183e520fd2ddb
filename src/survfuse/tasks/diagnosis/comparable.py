"""What finished studies of a diagnosis have in common."""

from __future__ import annotations

import math

from survfuse.artifacts.evaluation import Comparison, Evaluation
from survfuse.evaluation.comparable import Comparable, PairedDifference
from survfuse.statistics.delong import REFITTED
from survfuse.tasks.diagnosis.metrics import metrics_of, ranking_of

SHOWN = {"two": ("auroc", "brier", "calibration_slope"), "more": ("macro_auroc", "brier")}
OVER_PATIENTS = "normal, over patients, with the models as they were fitted"


def freedom(evaluation: Evaluation, comparison: Comparison) -> float:
    """Degrees of freedom of a widened DeLong interval: patients of the rarer outcome, less 1.

    Where patients have several visits, these are counted: a little more than the interval had.
    """
    row = next(row for row in evaluation["rows"] if row["model"] == comparison["model"])
    known = sum(row["classes"])
    return max(min(min(count, known - count) for count in row["classes"]) - 1, 1)


def comparable(classes: int) -> Comparable:
    """Diagnoses of so many classes."""
    metrics, ranking = metrics_of(classes), ranking_of(classes)
    two = classes == 2
    limits = (-1.0, 1.0) if two else (-2.0, 2.0)  # of squared errors that are summed over classes
    return Comparable(
        f"Diagnosis of {'two' if two else classes} classes",
        [
            PairedDifference(ranking, REFITTED, freedom),
            PairedDifference(metrics["brier"], OVER_PATIENTS, lambda *_: math.inf, limits),
        ],
        [metrics[name] for name in SHOWN["two" if two else "more"]],
    )
