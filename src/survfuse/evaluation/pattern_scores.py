"""How well a model ranks patients when it is shown one kind of input alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from survfuse.evaluation.compare import FoldScores, average, score_folds
from survfuse.evaluation.intervals import Estimate
from survfuse.evaluation.metrics import Concordance, harrell_c
from survfuse.evaluation.protocol import Protocol
from survfuse.evaluation.scores import ModelPredictions
from survfuse.evaluation.study import Fold, Study

# A C-index of a handful of pairs is 0 or 1 by chance; its interval over folds is no better.
LEAST_PAIRS = 20


def score_patterns(
    protocol: Protocol, predicted: ModelPredictions, risks: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Harrell's C of each pattern, computed as for the leaderboard but on its patients alone.

    `risks` as from `patterns.read_patterns`, `predicted` with everything shown. Each pattern has
    value, low, high, `n` patients, and `all_inputs`: the C of the same patients with everything
    shown. The values are None where fewer than LEAST_PAIRS pairs can be compared.
    """
    return {
        pattern: score_pattern(protocol, predicted.risk, risk) for pattern, risk in risks.items()
    }


def score_pattern(protocol: Protocol, shown_all: np.ndarray, risk: np.ndarray) -> dict[str, Any]:
    """One pattern: both risks (repeats, n), that of the pattern NaN for patients who lack it."""
    members = np.isfinite(risk[0])
    alone, everything = (scores_among(protocol.study, r, members) for r in (risk, shown_all))
    counted = {"n": int(members.sum())}
    pairs = alone.pairs.sum() / protocol.study.n_repeats
    if pairs < LEAST_PAIRS:
        reason = (
            f"{pairs:.0f} pairs of patients can be compared within the folds; at least "
            f"{LEAST_PAIRS} are needed"
        )
        return {**Estimate(reason=reason).as_json(), **counted, "all_inputs": None}
    share, confidence = protocol.study.test_share, protocol.confidence
    same_patients = average(everything, share, confidence).value
    return {
        **average(alone, share, confidence).as_json(),
        **counted,
        "all_inputs": same_patients,
    }


def scores_among(study: Study, risk: np.ndarray, members: np.ndarray) -> FoldScores:
    """Harrell's C of each fold among the members (n,) of its test part."""

    def score(fold: Fold) -> Concordance:
        tested = fold.test[members[fold.test]]
        return harrell_c(study.outcome[tested], risk[fold.repeat, tested])

    return score_folds(study, score)
