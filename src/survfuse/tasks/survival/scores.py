"""What is computed from the predictions of one model: the functions of the metrics.

Functions of a fold return the concordance of that fold. Functions of all predictions return the
value of the cohort and of every resample of its patients, (1 + B,), in the order of
`Protocol.counts`, or an estimate with an interval of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.predictions import months_of, survival_columns
from survfuse.artifacts.study import Fold, SurvivalOutcome
from survfuse.statistics.calibration import (
    calibration_curve,
    calibration_slope,
    observed_expected,
    observed_expected_draws,
)
from survfuse.statistics.intervals import Estimate
from survfuse.statistics.metrics import (
    Concordance,
    NotEstimableError,
    brier_terms,
    case_control_pairs,
    harrell_c,
    integrate,
    uno_c,
)
from survfuse.statistics.resampled import harrell_draws, slope_draws, uno_draws
from survfuse.tasks.survival.protocol import Protocol


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


@dataclass(frozen=True)
class HeldOutFold:
    """What a metric may look at of one fold: risks (n,) of its test part, higher for worse."""

    train: SurvivalOutcome
    test: SurvivalOutcome
    risk: np.ndarray
    months: float


@dataclass(frozen=True)
class Scored:
    """What a metric may look at: the rules of the study, and the predictions of one model.

    months: the time up to which events count: the horizon of a metric that is computed at horizons,
    else tau.
    """

    protocol: Protocol
    predicted: ModelPredictions
    months: float

    @property
    def outcome(self) -> SurvivalOutcome:
        """The follow-up of all patients."""
        return self.protocol.study.outcome

    @property
    def survival(self) -> np.ndarray:
        """S(months | x), (repeats, n). Raises NotEstimableError where the model states none."""
        return self.predicted.survival_at(self.months)

    def tested(self, fold: Fold, rows: np.ndarray | None = None) -> HeldOutFold:
        """One fold, or some `rows` of its test part."""
        tested = fold.test if rows is None else rows
        return HeldOutFold(
            self.outcome[fold.train],
            self.outcome[tested],
            self.predicted.risk[fold.repeat, tested],
            self.months,
        )


def harrell(tested: HeldOutFold) -> Concordance:
    """Harrell's C of a fold."""
    return harrell_c(tested.test, tested.risk)


def uno(tested: HeldOutFold) -> Concordance:
    """Uno's C of a fold, truncated. Raises HorizonError for a time beyond follow-up."""
    return uno_c(tested.train, tested.test, tested.risk, tested.months)


def auc(scored: Scored) -> np.ndarray:
    """Cumulative/dynamic AUC of the risk: pairs within folds, summed over all folds."""
    protocol, months = scored.protocol, scored.months
    weights = protocol.weights_at(months)
    wins = pairs = np.zeros(len(protocol.counts))
    for fold in protocol.study.folds:
        tested = scored.tested(fold)
        compared = case_control_pairs(
            tested.test, tested.risk, weights[fold.repeat, fold.test], months
        )
        fold_wins, fold_pairs = compared.sums(protocol.counts[:, fold.test])
        wins, pairs = wins + fold_wins, pairs + fold_pairs
    if pairs[0] == 0:
        raise NotEstimableError(
            f"no fold has both a patient with the event by {months:g} months and one without"
        )
    with np.errstate(invalid="ignore"):
        return wins / pairs


def brier(scored: Scored) -> np.ndarray:
    """Brier score at a horizon over all patients."""
    return mean_over_patients(scored, all_terms(scored, [scored.months])[..., 0])


def integrated_brier(scored: Scored) -> np.ndarray:
    """Brier score over all patients, integrated over the times of the grid."""
    grid = scored.protocol.grid_months
    return mean_over_patients(scored, integrate(all_terms(scored, grid), grid))


def all_terms(scored: Scored, times_months: Sequence[float]) -> np.ndarray:
    """Brier terms of every repeat and patient at k times, (repeats, n, k)."""
    predicted = scored.predicted
    terms = np.empty((*predicted.risk.shape, len(times_months)))
    for column, t in enumerate(times_months):
        weights, survival = scored.protocol.weights_at(t), predicted.survival_at(t)
        terms[..., column] = brier_terms(scored.outcome, survival, weights, t)
    return terms


def mean_over_patients(scored: Scored, terms: np.ndarray) -> np.ndarray:
    """Mean over repeats and patients of terms (repeats, n), in every resample, (1 + B,)."""
    per_patient = terms.mean(axis=0)
    means: np.ndarray = scored.protocol.counts @ per_patient / len(per_patient)
    return means


def expected_ratio(scored: Scored) -> Estimate:
    """Observed/expected events by a horizon; probabilities averaged over the repeats."""
    protocol, months = scored.protocol, scored.months
    protocol.require(months)
    survival = scored.survival.mean(axis=0)
    return observed_expected(scored.outcome, survival, months, protocol.counts, protocol.confidence)


def slope(scored: Scored) -> Estimate:
    """Calibration slope at a horizon, within folds."""
    protocol, months, study = scored.protocol, scored.months, scored.protocol.study
    protocol.require(months)
    return calibration_slope(
        study.outcome,
        scored.survival,
        months,
        protocol.confidence,
        study.fold_numbers,
        study.test_share,
    )


def harrell_elsewhere(scored: Scored) -> np.ndarray:
    """Harrell's C over all patients, of whom none trained the models."""
    return harrell_draws(scored.outcome, scored.predicted.risk[0], scored.protocol.counts)


def uno_elsewhere(scored: Scored) -> np.ndarray:
    """Uno's C over all patients, truncated."""
    protocol = scored.protocol
    return uno_draws(scored.outcome, scored.predicted.risk[0], scored.months, protocol.counts)


def expected_ratio_elsewhere(scored: Scored) -> np.ndarray:
    """Observed/expected events by a horizon."""
    counts = scored.protocol.counts
    return observed_expected_draws(scored.outcome, scored.survival[0], scored.months, counts)


def slope_elsewhere(scored: Scored) -> np.ndarray:
    """Calibration slope at a horizon over all patients."""
    return slope_draws(scored.outcome, scored.survival[0], scored.months, scored.protocol.counts)


def points(protocol: Protocol, predicted: ModelPredictions, months: float) -> list[dict[str, Any]]:
    """Calibration curve at a horizon; empty where there is no survival or no follow-up."""
    try:
        protocol.require(months)
        survival = predicted.survival_at(months).mean(axis=0)
    except NotEstimableError:
        return []
    return calibration_curve(protocol.study.outcome, survival, months, protocol.confidence)
