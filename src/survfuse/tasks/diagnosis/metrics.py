"""The metrics of a leaderboard of diagnoses; what is declared here is scored, shown and documented.

Two classes and more have each their own. `RANKING` names the one of either that orders the rows and
is what they are compared by. Its interval is `REFITTED`, so that its function returns the influence
of every patient: higher is better, 0.5 is chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from survfuse.evaluation.metrics import Argument, Metric, Result, declared, given
from survfuse.statistics.delong import macro_auroc
from survfuse.statistics.intervals import Estimate
from survfuse.statistics.probabilities import (
    calibration_intercept,
    calibration_slope,
    observed_expected_ratio,
)
from survfuse.statistics.proportions import mean_of
from survfuse.tasks.diagnosis.intervals import (
    OF_SHARES,
    REFITTED,
    REFITTED_EACH,
    WALD,
    WALD_WITHIN,
    WILSON,
    WILSON_EACH,
    mean_of_rows,
)
from survfuse.tasks.diagnosis.scored import (
    COLLAPSED,
    ScoredClasses,
    discrimination,
    squared_error,
)

AT_THRESHOLD = "at_threshold"  # where evaluation.json has what rests on a threshold


@dataclass(frozen=True, kw_only=True)
class DiagnosisMetric(Metric[ScoredClasses, Argument, Result]):
    """A metric of class probabilities, with `each="class"` a list in the order of the classes.

    In `about`, {case} and {other} stand for the
    second and the first of two classes, {weighed} for how patients count.
    """

    def score(self, scored: ScoredClasses) -> Any:
        """Its part of evaluation.json. Decisions of a model that has collapsed have none."""
        if self.topic == "decisions" and scored.collapsed:
            nothing = Estimate(reason=f"not estimable, as {COLLAPSED}").as_json()
            return [nothing] * scored.classes if self.each == "class" else nothing
        return super().score(scored)


def slope_within(scored: ScoredClasses) -> Estimate:
    """Calibration slope within folds."""
    return calibration_slope(*scored.about, scored.known.fold)


TWO_CLASSES: dict[str, DiagnosisMetric[Any, Any]] = declared(
    DiagnosisMetric(
        name="auroc",
        title="AUROC",
        label="AUROC",
        topic="discrimination",
        better="higher",
        compute=discrimination,
        interval=REFITTED,
        about="The AUROC is the share of pairs of one {case} and one {other} patient that a model "
        "puts in the right order{weighed}",
        plain="Take one patient of the class and one without. The AUROC is the share of such pairs "
        "in which the model gave the first the higher probability. 0.50 is chance, 1 is a perfect "
        "order.",
    ),
    DiagnosisMetric(
        name="sensitivity",
        title="Sensitivity",
        label="sensitivity",
        topic="decisions",
        better="higher",
        compute=lambda scored: scored.decided.sensitivity,
        interval=WILSON,
        about="Sensitivity: of the {case} patients the share called positive",
        plain="Of the patients of the class, the share called positive.",
        within=AT_THRESHOLD,
    ),
    DiagnosisMetric(
        name="specificity",
        title="Specificity",
        label="specificity",
        topic="decisions",
        better="higher",
        compute=lambda scored: scored.decided.specificity,
        interval=WILSON,
        about="Specificity: of the others the share called negative",
        plain="Of the patients without the class, the share called negative.",
        within=AT_THRESHOLD,
    ),
    DiagnosisMetric(
        name="balanced_accuracy",
        title="Balanced accuracy",
        label="balanced accuracy",
        topic="decisions",
        better="higher",
        compute=lambda scored: scored.decided.balanced_accuracy,
        interval=OF_SHARES,
        about="Balanced accuracy: the mean of these two",
        plain="The mean of sensitivity and specificity.",
        within=AT_THRESHOLD,
    ),
    DiagnosisMetric(
        name="f1",
        title="F1",
        label="F1",
        topic="decisions",
        better="higher",
        compute=lambda scored: scored.decided.f1,
        interval=given("from Wilson’s of Jaccard’s index"),
        about="F1: the harmonic mean of sensitivity and positive predictive value",
        plain="The harmonic mean of sensitivity and positive predictive value.",
        within=AT_THRESHOLD,
    ),
    DiagnosisMetric(
        name="positive_predictive_value",
        title="Positive predictive value",
        label="positive pred. value",
        word="predictive values",
        topic="decisions",
        better="higher",
        compute=lambda scored: scored.decided.positive_predictive_value,
        interval=WILSON,
        about="Positive predictive value: of those called positive, the share rightly so",
        plain="Of those called positive, the share rightly so.",
        within=AT_THRESHOLD,
    ),
    DiagnosisMetric(
        name="negative_predictive_value",
        title="Negative predictive value",
        label="negative pred. value",
        word="predictive values",
        topic="decisions",
        better="higher",
        compute=lambda scored: scored.decided.negative_predictive_value,
        interval=WILSON,
        about="Negative predictive value: of those called negative, the share rightly so",
        plain="Of those called negative, the share rightly so.",
        within=AT_THRESHOLD,
    ),
    DiagnosisMetric(
        name="brier",
        title="Brier score",
        label="Brier",
        word="Brier score",
        topic="error",
        better="lower",
        compute=lambda scored: (scored.probability - scored.case) ** 2,
        interval=mean_of_rows(0, 1),
        about="Brier score: mean squared error of the probability, 0 is best",
        plain="The mean squared difference between the probability and what is true. Smaller is "
        "better.",
        digits=3,
    ),
    DiagnosisMetric(
        name="observed_expected",
        title="Observed over expected (O/E)",
        label="O/E",
        topic="calibration",
        better="near 1",
        compute=lambda scored: observed_expected_ratio(*scored.about),
        interval=given("Wilson’s of the observed share"),
        about="O/E: observed over expected, above 1 more patients were {case} than predicted; "
        "inside a cross-validation it is near 1 by construction",
        plain="The share of patients of the class, divided by the mean probability. In a "
        "cross-validation it is near 1 whatever the model, because all folds come from one cohort.",
    ),
    DiagnosisMetric(
        name="calibration_intercept",
        title="Calibration intercept",
        label="intercept",
        topic="calibration",
        better="near 0",
        compute=lambda scored: calibration_intercept(*scored.about),
        interval=WALD,
        about="Intercept: what all logits lack on average; inside a cross-validation it is near 0 "
        "by construction",
        plain="What must be added to the logits of all probabilities to get their mean right. In a "
        "cross-validation it is near 0 whatever the model.",
        word="calibration intercept",
    ),
    DiagnosisMetric(
        name="calibration_slope",
        title="Calibration slope",
        label="slope",
        topic="calibration",
        better="near 1",
        compute=slope_within,
        interval=WALD_WITHIN,
        about="Slope, within folds: 1 is ideal; below 1 the predictions are too extreme",
        plain="How strongly what is true follows the predicted probability, among patients of the "
        "same fold. 1 is ideal; below 1, high predictions are too high and low ones too low.",
        word="calibration slope",
    ),
)
MORE_CLASSES: dict[str, DiagnosisMetric[Any, Any]] = declared(
    DiagnosisMetric(
        name="macro_auroc",
        title="AUROC, mean over classes",
        label="AUROC",
        topic="discrimination",
        better="higher",
        compute=discrimination,
        interval=REFITTED,
        about="The AUROC is the mean, over classes, of how well a model discriminates the class "
        "from all others",
        plain="Take one patient of a class and one without. The AUROC of the class is the share of "
        "such pairs in which the model gave the first the higher probability; this is its mean "
        "over the classes. 0.50 is chance, 1 is a perfect order.",
        compared_as="auroc",
    ),
    DiagnosisMetric(
        name="auroc_of_class",
        title="AUROC of each class",
        label="AUROC",
        topic="discrimination",
        better="higher",
        compute=lambda scored: macro_auroc(
            scored.known.probability,
            scored.known.label,
            scored.confidence,
            scored.patient,
            scored.known.fold,
        )[1],
        interval=REFITTED_EACH,
        each="class",
        about="AUROC: of a class against all others",
        plain="The AUROC of a class against all others.",
    ),
    DiagnosisMetric(
        name="recall_of_class",
        title="Share found of each class",
        label="found",
        topic="decisions",
        better="higher",
        compute=lambda scored: scored.recalls,
        interval=WILSON_EACH,
        each="class",
        about="Found: the share of its patients for whom the class is the most probable one",
        plain="Of the patients of a class, the share for whom it is the most probable one.",
    ),
    DiagnosisMetric(
        name="balanced_accuracy",
        title="Balanced accuracy",
        label="balanced accuracy",
        topic="decisions",
        better="higher",
        compute=lambda scored: mean_of(scored.recalls),
        interval=OF_SHARES,
        about="Balanced accuracy: the mean of these shares",
        plain="The mean over classes of the shares that are found.",
    ),
    DiagnosisMetric(
        name="brier",
        title="Brier score",
        label="Brier",
        word="Brier score",
        topic="error",
        better="lower",
        compute=lambda scored: squared_error(scored.known),
        interval=mean_of_rows(),
        about="Brier score: mean squared error of the probability, 0 is best",
        plain="The squared difference between probability and truth, summed over classes, and its "
        "mean over patients. Smaller is better.",
        digits=3,
    ),
)


RANKING: dict[str, str] = {"two": "auroc", "more": "macro_auroc"}


def metrics_of(classes: int) -> dict[str, DiagnosisMetric[Any, Any]]:
    """The metrics of a diagnosis of so many classes, by name."""
    return TWO_CLASSES if classes == 2 else MORE_CLASSES


def ranking_of(classes: int) -> DiagnosisMetric[Any, Any]:
    """The metric by which rows are ordered and compared."""
    return metrics_of(classes)[RANKING["two" if classes == 2 else "more"]]
