"""The row `rsf`, a random survival forest on the matrix of pooled features."""

from __future__ import annotations

from typing import Any

import numpy as np

from survfuse.artifacts.follow_up import FollowUp
from survfuse.models.classical.options import Option
from survfuse.models.classical.pooled_survival import PooledSurvival
from survfuse.models.classical.trees import Forest, forest_of
from survfuse.splits.training_part import TrainingPart


def fit_forest(
    x: np.ndarray, part: TrainingPart, seed: int, *, trees: int, min_samples_leaf: int
) -> tuple[Forest, dict[str, Any]]:
    """Random survival forest (Ishwaran et al. 2008) on all training patients: nothing is chosen.

    x: (n, p). Each split tries the square root of p columns.
    """
    from sksurv.ensemble import RandomSurvivalForest
    from sksurv.util import Surv

    grown = RandomSurvivalForest(
        n_estimators=trees,
        min_samples_leaf=min_samples_leaf,
        max_features="sqrt",
        n_jobs=1,
        random_state=seed,
    )
    followed = part.outcome_as(FollowUp)
    time = at_event_times(followed.time_months, followed.event)
    grown.fit(x, Surv.from_arrays(followed.event, time))
    return forest_of(grown, float(followed.time_months.max())), {"trees": trees}


def at_event_times(time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Times (n,) with every censoring moved back to the last event time before it.

    Who is at risk at which event stays the same, and with it log-rank statistics and Kaplan-Meier
    curves; but fewer distinct times make splits cheaper to find and leaves smaller.
    """
    moments = np.unique(time[event])
    before = np.searchsorted(moments, time, side="right") - 1
    return np.where(before >= 0, moments[np.maximum(before, 0)], moments[0] / 2)


SURVIVAL = PooledSurvival(
    options={"trees": Option(200, 1, 10_000), "min_samples_leaf": Option(10, 1, 10_000)},
    learn=fit_forest,
    restore=Forest.from_arrays,
)
