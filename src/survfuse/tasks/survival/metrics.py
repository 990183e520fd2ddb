"""The metrics of a survival leaderboard; what is declared here is scored, shown and documented.

`RANKING` orders the rows and is what they are compared by. It is the concordance of a fold (its
interval is `FOLDS`): higher is better, 0.5 is chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from survfuse.evaluation.metrics import Argument, Metric, Result, declared
from survfuse.statistics.metrics import HARRELL, UNO
from survfuse.tasks.survival import scores
from survfuse.tasks.survival.intervals import FOLDS, RESAMPLED_WITHIN, WALD, resampled
from survfuse.tasks.survival.scores import Scored


@dataclass(frozen=True, kw_only=True)
class SurvivalMetric(Metric[Scored, Argument, Result]):
    """A metric of survival predictions, or with `each="horizon"` of those at every horizon.

    In `about`, {tau} and {grid} stand for the truncation time and the times of the grid.
    `elsewhere`: its value in a cohort that trained no model, and in every resample of it, (1 + B,);
    without it the metric is not reported for other cohorts.
    """

    elsewhere: Callable[[Scored], np.ndarray] | None = None

    def score(self, scored: Scored) -> dict[str, Any]:
        """Its part of evaluation.json, by horizon where it has one for each."""
        if self.each == "horizon":
            return {
                f"{months:g}": super(SurvivalMetric, self).score(replace(scored, months=months))
                for months in scored.protocol.horizons_months
            }
        found: dict[str, Any] = super().score(scored)
        return found | ({"convention": self.convention} if self.convention else {})


METRICS: dict[str, SurvivalMetric[Any, Any]] = declared(
    SurvivalMetric(
        name="harrell_c",
        title="Harrell’s C-index",
        label="Harrell’s C",
        topic="discrimination",
        better="higher",
        compute=scores.harrell,
        elsewhere=scores.harrell_elsewhere,
        interval=FOLDS,
        about="The C-index is the share of comparable pairs of patients that a model puts in the "
        "right order",
        plain="Take two patients of whom one is known to have had the event earlier. The C-index "
        "is the share of such pairs in which the model ranked that patient as more at risk. 0.50 "
        "is chance, 1 is a perfect order.",
        convention=HARRELL,
        noun="C-index",
        word="C",
    ),
    SurvivalMetric(
        name="uno_c",
        title="Uno’s C-index",
        label="Uno’s C",
        topic="discrimination",
        better="higher",
        compute=scores.uno,
        elsewhere=scores.uno_elsewhere,
        interval=FOLDS,
        about="Uno’s C is truncated at {tau}",
        plain="The same share, weighted so that it does not depend on how long patients were "
        "followed, up to the time τ.",
        convention=UNO,
        word="C",
    ),
    SurvivalMetric(
        name="auc",
        title="AUC at a horizon",
        label="AUC",
        topic="discrimination",
        better="higher",
        compute=scores.auc,
        elsewhere=scores.auc,
        interval=resampled(0, 1),
        each="horizon",
        about="AUC: cases have had the event by the horizon, controls have not",
        plain="The share of right orders among pairs of one patient with the event by the horizon "
        "and one without.",
    ),
    SurvivalMetric(
        name="brier",
        title="Brier score",
        label="Brier",
        topic="error",
        better="lower",
        compute=scores.brier,
        elsewhere=scores.brier,
        interval=resampled(low=0),
        each="horizon",
        about="Brier score: mean squared error of the predicted probability, 0 is best",
        plain="The mean squared difference between the predicted probability and what happened by "
        "a horizon. Smaller is better.",
        digits=3,
        word="Brier score",
    ),
    SurvivalMetric(
        name="ibs",
        title="Integrated Brier score (IBS)",
        label="IBS",
        topic="error",
        better="lower",
        compute=scores.integrated_brier,
        elsewhere=scores.integrated_brier,
        interval=resampled(low=0),
        about="The integrated score (IBS) uses {grid} and cannot be compared with a score on "
        "another grid",
        plain="The Brier score averaged over a grid of times. Smaller is better.",
        digits=3,
        word="Brier score",
    ),
    SurvivalMetric(
        name="observed_expected",
        title="Observed over expected (O/E)",
        label="O/E",
        topic="calibration",
        better="near 1",
        compute=scores.expected_ratio,
        elsewhere=scores.expected_ratio_elsewhere,
        interval=RESAMPLED_WITHIN,
        each="horizon",
        about="O/E: observed over expected events by the horizon. Inside a cross-validation it is "
        "near 1 by construction and no evidence of calibration; it is meant for patients from "
        "elsewhere",
        plain="The number of events observed by a horizon, divided by the number the model "
        "predicted. In a cross-validation it is near 1 whatever the model, because all folds come "
        "from one cohort.",
        word="observed/expected",
    ),
    SurvivalMetric(
        name="calibration_slope",
        title="Calibration slope",
        label="slope",
        topic="calibration",
        better="near 1",
        compute=scores.slope,
        elsewhere=scores.slope_elsewhere,
        interval=WALD,
        each="horizon",
        about="Slope, within folds and with follow-up cut at the horizon: 1 is ideal; below 1 the "
        "predictions are too extreme. See whether 1 lies in its interval",
        plain="How strongly the observed risk up to a horizon follows the predicted one, among "
        "patients of the same fold. 1 is ideal; below 1, high predictions are too high and low "
        "ones too low.",
        word="calibration slope",
    ),
)
RANKING: SurvivalMetric[Any, Any] = METRICS["harrell_c"]
