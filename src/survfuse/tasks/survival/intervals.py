"""How the functions of survival metrics become estimates with limits.

- `FOLDS`: the function is called on every fold and returns its concordance.
- `resampled(low, high)`: it returns the value of the cohort and of every resample, (1 + B,).
- `WALD` and `RESAMPLED_WITHIN`: it returns the estimate with its limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from survfuse.evaluation.metrics import Interval, given
from survfuse.statistics.comparison import FoldScores, average, score_folds
from survfuse.statistics.intervals import CORRECTED_T, Estimate, percentile_interval
from survfuse.statistics.metrics import Concordance, NotEstimableError
from survfuse.tasks.survival.scores import HeldOutFold, Scored

ScoreFold = Callable[[HeldOutFold], Concordance]
PERCENTILES = "bootstrap of the patients within folds, which keeps the models"


def fold_scores(score: ScoreFold, scored: Scored) -> FoldScores:
    """The concordance of every fold. Raises HorizonError as `score` does."""
    return score_folds(scored.protocol.study, lambda fold: score(scored.tested(fold)))


def over_folds(score: ScoreFold, scored: Scored) -> dict[str, Any]:
    """Concordances averaged by comparable pairs, with the value of each fold."""
    try:
        found = fold_scores(score, scored)
    except NotEstimableError as error:
        return {**Estimate(reason=str(error)).as_json(), "per_fold": []}
    protocol = scored.protocol
    averaged = average(found, protocol.study.test_share, protocol.confidence)
    return {**averaged.as_json(), "per_fold": found.per_fold()}


def resampled(low: float = -np.inf, high: float = np.inf) -> Interval[Scored, Scored, np.ndarray]:
    """Percentiles of the resamples; `low` and `high` are the limits of what the metric can be."""

    def estimate(compute: Callable[[Scored], np.ndarray], scored: Scored) -> dict[str, Any]:
        values = compute(scored)
        return percentile_interval(values, scored.protocol.confidence, (low, high)).as_json()

    return Interval(PERCENTILES, estimate)


FOLDS = Interval(
    f"{CORRECTED_T} over folds and repeats, which allows for models that are trained again",
    over_folds,
)
RESAMPLED_WITHIN: Interval[Scored, Scored, Estimate] = given(PERCENTILES)
WALD: Interval[Scored, Scored, Estimate] = given(
    "Wald’s, widened because test patients trained the models of other folds"
)
