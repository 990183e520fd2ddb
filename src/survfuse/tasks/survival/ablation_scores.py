"""The C-index of a model under modality ablation: predictions from one modality alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from survfuse.artifacts.study import Fold
from survfuse.evaluation.board import too_few_pairs
from survfuse.statistics.comparison import FoldScores, average, score_folds
from survfuse.statistics.metrics import Concordance
from survfuse.tasks.survival.metrics import RANKING
from survfuse.tasks.survival.protocol import Protocol
from survfuse.tasks.survival.scores import ModelPredictions, Scored


def score_ablations(
    protocol: Protocol, predicted: ModelPredictions, risks: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """The ranking metric of each ablation, as for the leaderboard but on its patients alone.

    `risks` as from `ablations.read_ablated_risks`, `predicted` from all inputs. Each ablation has
    value, low, high, `n` patients, and `all_inputs`: that of the same patients from all inputs.
    The values are None where fewer than LEAST_PAIRS pairs can be compared.
    """
    return {
        ablation: score_ablation(protocol, predicted.risk, risk) for ablation, risk in risks.items()
    }


def score_ablation(protocol: Protocol, all_inputs: np.ndarray, risk: np.ndarray) -> dict[str, Any]:
    """One ablation: both risks (repeats, n), the ablated one NaN for who lacks the input."""
    members = np.isfinite(risk[0])
    alone, everything = (scores_among(protocol, r, members) for r in (risk, all_inputs))
    counted = {"n": int(members.sum())}
    pairs = alone.pairs.sum() / protocol.study.n_repeats
    if few := too_few_pairs(pairs):
        return {**few.as_json(), **counted, "all_inputs": None}
    share, confidence = protocol.study.test_share, protocol.confidence
    same_patients = average(everything, share, confidence).value
    return {
        **average(alone, share, confidence).as_json(),
        **counted,
        "all_inputs": same_patients,
    }


def scores_among(protocol: Protocol, risk: np.ndarray, members: np.ndarray) -> FoldScores:
    """The ranking metric of each fold among the members (n,) of its test part."""
    scored = Scored(protocol, ModelPredictions(risk, {}), protocol.tau_months)

    def score(fold: Fold) -> Concordance:
        found: Concordance = RANKING.compute(scored.tested(fold, fold.test[members[fold.test]]))
        return found

    return score_folds(protocol.study, score)
