"""All metrics of one model, in the form that evaluation.json stores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from survfuse.evaluation.calibration import calibration_curve, calibration_slope, observed_expected
from survfuse.evaluation.compare import FoldScores, average, score_folds
from survfuse.evaluation.intervals import Estimate, percentile_interval
from survfuse.evaluation.metrics import (
    HARRELL,
    UNO,
    HorizonError,
    NotEstimableError,
    brier_terms,
    case_control_pairs,
    harrell_c,
    integrate,
    uno_c,
)
from survfuse.evaluation.predictions import months_of, survival_columns
from survfuse.evaluation.protocol import Protocol


@dataclass(frozen=True)
class ModelPredictions:
    """One model's out-of-fold predictions, patients in the order of the study."""

    risk: np.ndarray  # (repeats, n)
    survival: dict[float, np.ndarray]  # time in months -> (repeats, n), NaN = not stated

    def survival_at(self, months: float) -> np.ndarray:
        """S(t | x), (repeats, n). Raises NotEstimableError where the model states none."""
        stated = self.survival.get(months)
        if stated is None or np.isnan(stated).any():
            raise NotEstimableError(f"the model states no survival at {months:g} months")
        return stated


def from_table(table: pd.DataFrame, n_repeats: int) -> ModelPredictions:
    """Predictions from a table whose rows are in the order repeat, then patient of the study."""

    def by_repeat(column: str) -> np.ndarray:
        return table[column].to_numpy(dtype=float).reshape(n_repeats, -1)

    curves = {months_of(column): by_repeat(column) for column in survival_columns(table)}
    return ModelPredictions(by_repeat("risk"), curves)


def score_model(protocol: Protocol, predicted: ModelPredictions) -> dict[str, Any]:
    """Every metric of a leaderboard row; what cannot be estimated is null with its reason."""

    def at_horizons(
        metric: Callable[[Protocol, ModelPredictions, float], Estimate],
    ) -> dict[str, Any]:
        return {
            f"{months:g}": estimated(partial(metric, protocol, predicted, months))
            for months in protocol.horizons_months
        }

    return {
        "harrell_c": fold_metric(protocol, predicted, harrell_scores, HARRELL),
        "uno_c": fold_metric(protocol, predicted, uno_scores, UNO),
        "auc": at_horizons(auc),
        "brier": at_horizons(brier),
        "ibs": estimated(partial(integrated_brier, protocol, predicted)),
        "observed_expected": at_horizons(expected_ratio),
        "calibration_slope": at_horizons(slope),
        "calibration": {f"{h:g}": points(protocol, predicted, h) for h in protocol.horizons_months},
    }


def estimated(metric: Callable[[], Estimate]) -> dict[str, Any]:
    """The estimate, or null and the reason."""
    try:
        return metric().as_json()
    except NotEstimableError as error:
        return Estimate(reason=str(error)).as_json()


def fold_metric(
    protocol: Protocol,
    predicted: ModelPredictions,
    metric: Callable[[Protocol, ModelPredictions], FoldScores],
    convention: str,
) -> dict[str, Any]:
    """A C-index averaged over folds, with its value per fold and its convention."""
    try:
        scores = metric(protocol, predicted)
    except HorizonError as error:
        return {**Estimate(reason=str(error)).as_json(), "per_fold": [], "convention": convention}
    averaged = average(scores, protocol.study.test_share, protocol.confidence)
    return {**averaged.as_json(), "per_fold": scores.per_fold(), "convention": convention}


def harrell_scores(protocol: Protocol, predicted: ModelPredictions) -> FoldScores:
    """Harrell's C of each fold."""
    outcome = protocol.study.outcome
    return score_folds(
        protocol.study,
        lambda fold: harrell_c(outcome[fold.test], predicted.risk[fold.repeat, fold.test]),
    )


def uno_scores(protocol: Protocol, predicted: ModelPredictions) -> FoldScores:
    """Uno's C of each fold, truncated at tau. Raises HorizonError for a tau beyond follow-up."""
    outcome = protocol.study.outcome
    return score_folds(
        protocol.study,
        lambda fold: uno_c(
            outcome[fold.train],
            outcome[fold.test],
            predicted.risk[fold.repeat, fold.test],
            protocol.tau_months,
        ),
    )


def auc(protocol: Protocol, predicted: ModelPredictions, months: float) -> Estimate:
    """Cumulative/dynamic AUC of the risk: pairs within folds, summed over all folds."""
    weights = protocol.weights_at(months)
    wins = pairs = np.zeros(len(protocol.counts))
    for fold in protocol.study.folds:
        compared = case_control_pairs(
            protocol.study.outcome[fold.test],
            predicted.risk[fold.repeat, fold.test],
            weights[fold.repeat, fold.test],
            months,
        )
        fold_wins, fold_pairs = compared.sums(protocol.counts[:, fold.test])
        wins, pairs = wins + fold_wins, pairs + fold_pairs
    if pairs[0] == 0:
        raise NotEstimableError(
            f"no fold has both a patient with the event by {months:g} months and one without"
        )
    with np.errstate(invalid="ignore"):
        return percentile_interval(wins / pairs, protocol.confidence)


def brier(protocol: Protocol, predicted: ModelPredictions, months: float) -> Estimate:
    """Brier score at a horizon over all patients."""
    return mean_over_patients(protocol, all_terms(protocol, predicted, [months])[..., 0])


def integrated_brier(protocol: Protocol, predicted: ModelPredictions) -> Estimate:
    """Brier score over all patients, integrated over the times of the grid."""
    grid = protocol.grid_months
    return mean_over_patients(protocol, integrate(all_terms(protocol, predicted, grid), grid))


def all_terms(
    protocol: Protocol, predicted: ModelPredictions, times_months: Sequence[float]
) -> np.ndarray:
    """Brier terms of every repeat and patient at k times, (repeats, n, k)."""
    outcome = protocol.study.outcome
    terms = np.empty((*predicted.risk.shape, len(times_months)))
    for column, t in enumerate(times_months):
        weights, survival = protocol.weights_at(t), predicted.survival_at(t)
        terms[..., column] = brier_terms(outcome, survival, weights, t)
    return terms


def mean_over_patients(protocol: Protocol, terms: np.ndarray) -> Estimate:
    """Mean over repeats and patients of terms (repeats, n), with the bootstrap interval."""
    per_patient = terms.mean(axis=0)
    means = protocol.counts @ per_patient / len(per_patient)
    return percentile_interval(means, protocol.confidence)


def expected_ratio(protocol: Protocol, predicted: ModelPredictions, months: float) -> Estimate:
    """Observed/expected events by a horizon; probabilities averaged over the repeats."""
    protocol.require(months)
    survival = predicted.survival_at(months).mean(axis=0)
    return observed_expected(
        protocol.study.outcome, survival, months, protocol.counts, protocol.confidence
    )


def slope(protocol: Protocol, predicted: ModelPredictions, months: float) -> Estimate:
    """Calibration slope at a horizon."""
    protocol.require(months)
    survival = predicted.survival_at(months)
    return calibration_slope(protocol.study.outcome, survival, protocol.confidence)


def points(protocol: Protocol, predicted: ModelPredictions, months: float) -> list[dict[str, Any]]:
    """Calibration curve at a horizon; empty where there is no survival or no follow-up."""
    try:
        protocol.require(months)
        survival = predicted.survival_at(months).mean(axis=0)
    except NotEstimableError:
        return []
    return calibration_curve(protocol.study.outcome, survival, months, protocol.confidence)
