"""The row `boosting`, boosted trees for survival on the matrix of pooled features."""

from __future__ import annotations

from typing import Any

import numpy as np

from survfuse.artifacts.follow_up import FollowUp
from survfuse.models.classical.options import Option
from survfuse.models.classical.pooled_survival import PooledSurvival
from survfuse.models.classical.trees import BoostedTrees, boosted_of
from survfuse.models.classical.validation import held_out_gain
from survfuse.splits.training_part import TrainingPart

COLUMNS_PER_SPLIT = 2000  # of wider matrices as many are tried, drawn anew for every split


def fit_boosting(
    x: np.ndarray,
    part: TrainingPart,
    seed: int,
    *,
    trees: int,
    learning_rate: float,
    subsample: float,
    max_depth: int,
    min_samples_leaf: int,
) -> tuple[BoostedTrees, dict[str, Any]]:
    """Stochastic gradient boosting of the partial likelihood (Friedman 2002; Ridgeway 1999).

    x: (n, p). Candidates of up to `trees` trees are grown on the training role; as many as serve
    the validation patients best are grown again on everybody. Where no number does better than
    none, there are none: the Nelson-Aalen curve for every patient.
    """
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis
    from sksurv.util import Surv

    followed = part.outcome_as(FollowUp)
    time, event = followed.time_months, followed.event

    def grow(count: int, rows: np.ndarray) -> GradientBoostingSurvivalAnalysis:
        model = GradientBoostingSurvivalAnalysis(
            n_estimators=count,
            learning_rate=learning_rate,
            subsample=subsample,
            max_depth=max_depth,
            min_samples_leaf=min_samples_leaf,
            max_features=min(COLUMNS_PER_SPLIT, x.shape[1]),
            random_state=seed,
        )
        return model.fit(x[rows], Surv.from_arrays(event[rows], time[rows]))

    candidate = grow(trees, part.role == "train")
    gain = held_out_gain(np.stack(list(candidate.staged_predict(x)), axis=1), part)
    count = int(gain.argmax()) + 1 if gain.max() > 0 else 0
    if count:
        stages = grow(count, np.ones(len(x), dtype=bool)).estimators_[:, 0]
    else:
        stages = candidate.estimators_[:0, 0]
    boosted = boosted_of(stages, learning_rate, x, time, event)
    return boosted, {"trees": count, "held_out_gain": float(gain[count - 1]) if count else 0.0}


SURVIVAL = PooledSurvival(
    options={
        "trees": Option(100, 1, 10_000),
        "learning_rate": Option(0.1, 0.001, 1.0),
        "subsample": Option(0.5, 0.1, 1.0),
        "max_depth": Option(2, 1, 10),
        "min_samples_leaf": Option(10, 1, 10_000),
    },
    learn=fit_boosting,
    restore=BoostedTrees.from_arrays,
    validates=True,
    size="trees",
)
