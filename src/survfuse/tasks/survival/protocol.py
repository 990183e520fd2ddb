"""What is the same for every model of a study: times, truncation, resamples, censoring weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from survfuse.artifacts.study import Fold, Study, SurvivalOutcome
from survfuse.config.evaluation import EvaluationConfig
from survfuse.statistics.intervals import draw_counts
from survfuse.statistics.metrics import HorizonError, censoring_weights, require_follow_up

LEAST_AT_RISK_SHARE = 0.1
TAU_RULE = (
    "the earliest time, over all training parts, at which 10 % of the training patients are still "
    "at risk; fixed once for all models"
)
TAU_SET = "set in the configuration (evaluation.tau_months)"


@dataclass(frozen=True)
class Protocol:
    """One way of scoring that all models share.

    `grid_months`: times up to tau and the last horizon, on which the Brier score is integrated.
    `counts` (1 + B, n): as from `draw_counts`. `weights[t]`: censoring weights (repeats, n) at a
    time, each from the training part of the fold that tested the patient, or the error of a time
    that has none.
    """

    study: Study
    horizons_months: tuple[float, ...]
    grid_months: tuple[float, ...]
    tau_months: float
    confidence: float
    counts: np.ndarray
    weights: dict[float, np.ndarray | HorizonError]

    def first_repeats(self, number: int) -> Protocol:
        """The same way of scoring for a row that has predictions of the first repeats alone.

        Times, truncation and resamples stay those of all repeats, so that rows are comparable.
        """
        weights = {
            months: one if isinstance(one, HorizonError) else one[:number]
            for months, one in self.weights.items()
        }
        return replace(self, study=self.study.first_repeats(number), weights=weights)

    def require(self, months: float) -> None:
        """Raise HorizonError if the time lies beyond the follow-up of any training part."""
        self.weights_at(months)

    def weights_at(self, months: float) -> np.ndarray:
        """Censoring weights (repeats, n). Raises HorizonError as `require` does."""
        weights = self.weights[months]
        if isinstance(weights, HorizonError):
            raise weights
        return weights


def prepare(study: Study, config: EvaluationConfig, grid_months: Sequence[float]) -> Protocol:
    """Fix everything that scoring needs before the first model is looked at."""
    tau = default_tau(study) if config.tau_months is None else config.tau_months
    # Prediction tables name their times with six digits; so do we, or they would not be found.
    horizons = tuple(float(f"{months:g}") for months in config.horizons_months)
    # Beyond the last horizon some models are silent, and the rows would not be comparable.
    last = min(tau, horizons[-1])
    grid = tuple(float(f"{months:g}") for months in grid_months if months <= last)
    return Protocol(
        study,
        horizons,
        grid,
        tau,
        config.confidence,
        draw_counts(study, config.bootstrap, config.seed),
        {months: fit_weights(study, months) for months in {*horizons, *grid}},
    )


def default_tau(study: Study) -> float:
    """The time of `TAU_RULE`: up to it, every training part supports its censoring weights."""
    parts = [np.sort(study.outcome.time[fold.train]) for fold in study.folds]
    return float(
        min(time[len(time) - int(np.ceil(LEAST_AT_RISK_SHARE * len(time)))] for time in parts)
    )


def fit_weights(study: Study, months: float) -> np.ndarray | HorizonError:
    """Censoring weights (repeats, n) at a time, or why there are none."""
    weights = np.empty((study.n_repeats, len(study.patient_ids)))
    try:
        require_follow_up(study.outcome, months, "the cohort")
        for fold in study.folds:
            train, test = study.outcome[fold.train], study.outcome[fold.test]
            weights[fold.repeat, fold.test] = censoring_weights(train, test, months)
    except HorizonError as error:
        return error
    return weights


def elsewhere(
    outcome: SurvivalOutcome,
    patient_ids: Sequence[str],
    horizons_months: Sequence[float],
    tau_months: float,
    config: EvaluationConfig,
) -> Protocol:
    """How predictions are scored on patients of whom none trained a model: all of them together.

    They are their own reference for censoring, and the grid of the Brier score is the horizons,
    where a package states risks. `tau_months`: of the study; earlier where these are followed less.
    """
    everybody = np.arange(len(outcome))
    study = Study(tuple(patient_ids), outcome, (Fold(0, 0, everybody, everybody),))
    return Protocol(
        study,
        tuple(horizons_months),
        tuple(horizons_months),
        min(tau_months, default_tau(study)),
        config.confidence,
        draw_counts(study, config.bootstrap, config.seed),
        {months: fit_weights(study, months) for months in horizons_months},
    )
