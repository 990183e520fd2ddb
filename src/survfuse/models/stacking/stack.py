"""The row `stack`: other rows of the leaderboard, weighed by how well they do on patients left out.

Each part is fitted again without a fifth of the training patients, five times, so that everybody
has a score of each part that has never seen his outcome; the weights come from these scores.
Predictions are asked of the parts as they are fitted on the fold.

Risks of different kinds of rows are on scales of their own, and so may be those of two fits of one
kind: hazards that are summed over as many times as there are events, log-hazard ratios that start
anywhere. What all rows have in common is the curve. So a score is the logarithm of the cumulative
hazard -log S(t|x), averaged over time, less its mean over the training patients of the fold.
Where hazards are proportional that is the log-hazard ratio itself: what a cautious fit has shrunk
stays small, which a division by standard deviations, or ranks, would undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.artifacts.prediction import Prediction
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.models.classical.cox import CoxModel, breslow
from survfuse.models.classical.late_fusion import check_parts, has_any, has_inputs, predicted
from survfuse.models.estimator import FitContext, NothingToLearnError, PredictContext
from survfuse.models.specs import parts_of
from survfuse.models.stacking.members import CROSS_FITS
from survfuse.models.stacking.ridge_cox import stratified_folds
from survfuse.models.stacking.survfuse import outcomes_of
from survfuse.models.stacking.weights import StackWeights, fit_stack_weights

LEAST_HAZARD = 1e-6  # cumulative; below it a curve is flat up to rounding
LEAST_SURVIVAL = 1e-12


@dataclass(frozen=True)
class PartPrediction:
    """What one fit of a part predicts of all n training patients.

    survival: (n, T). has: (n,) bool, of whom it has read anything.
    """

    survival: np.ndarray
    has: np.ndarray

    def scores(self, months: int) -> tuple[np.ndarray, float]:
        """(n,) scores, 0 for those of whom it has read nothing, and the mean that was subtracted.

        months: how many times of the grid are averaged over.
        """
        score = log_hazard(self.survival, months)
        centre = float(score[self.has].mean()) if self.has.any() else 0.0
        return np.where(self.has, score - centre, 0.0), centre


class Stack:
    """Other rows, each weighed by a Cox model of cross-fitted scores, none below 0."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse anything but a list of rows that can be asked, and controls in a row that is none.

        A control would be fitted again on true outcomes.
        """
        check_parts(config, model)
        parts = [row for row in config.models if row.name in parts_of(model)]
        controls = [row.name for row in parts if row.permute_outcomes]
        if controls and not model.permute_outcomes:
            raise UserInputError(
                f"models.{model.name}: options.parts names {controls[0]!r}, a control, which has "
                "nothing to tell of true outcomes; leave it out"
            )

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Fit the parts again without some patients each time, and weights on their predictions.

        Raises NothingToLearnError where fewer than two patients have an event.
        """
        model, part, ids = context.model, context.part, context.patient_ids
        time, event, seed = outcomes_of(context)
        names = parts_of(model)
        strata = 2 * event + (part.role == "validation")
        folds = stratified_folds(strata, CROSS_FITS, seed)
        left_out = [
            [predict_without(context, name, folds == fold) for fold in range(CROSS_FITS)]
            for name in names
        ]
        whole = predict_by_all(context)
        months = common_months([fit.survival for fits in (*left_out, whole) for fit in fits])
        scores, has = cross_fitted_scores(left_out, folds, months)
        added = on_diagonal(scores)
        read = [tuple(context.others.read(name)) for name in names]
        sets = np.unique(np.concatenate([sets_of_parts(read), has]), axis=0)
        weights = fit_stack_weights(added, has, time, event, sets)
        score = weights.contributions(added, has).sum(axis=1)
        baseline = breslow(score, time, event)
        arrays = {
            "centre": np.array([fit.scores(months)[1] for fit in whole]),
            **{f"weights.{name}": values for name, values in weights.arrays().items()},
            **{f"baseline.{name}": values for name, values in baseline.arrays().items()},
        }
        return arrays, {
            "parts": names,
            "months": months,
            "stack": described(names, weights, scores),
            "modalities": [],
            "fitted_on": {"weights": ids_hash(ids)},
        }

    def predict(self, fitted: FittedModel, context: PredictContext) -> Prediction:
        """Log-hazards and curves, NaN beyond the follow-up of training."""
        about, ids = (context.model, context.others), context.patient_ids
        months = fitted.fit["months"]
        hazards = [log_hazard(one.survival, months) for one in predicted(*about, ids).values()]
        has = has_inputs(*about, context.inputs, ids)
        scores = np.where(has, np.stack(hazards, axis=1) - fitted.arrays["centre"], 0.0)
        weights = StackWeights.from_arrays(fitted.under("weights."))
        score = weights.contributions(on_diagonal(scores), has).sum(axis=1)
        baseline = CoxModel(**fitted.under("baseline."))
        survival = baseline.survival(score[:, None], np.array(context.config.grid_months()))
        return Prediction(tuple(ids), score, survival[None])


def predict_without(context: FitContext, name: str, left_out: np.ndarray) -> PartPrediction:
    """What a part predicts that is fitted without some of the training patients (n,) bool.

    Where nothing can be learned from the others, it has read nothing of anybody.
    """
    ids = context.patient_ids
    try:
        fit = context.refit(name, context.part.only(~left_out))
    except NothingToLearnError:
        flat = np.ones((len(ids), len(context.config.grid_months())))
        return PartPrediction(flat, np.zeros(len(ids), dtype=bool))
    return PartPrediction(fit.predict(ids).survival, has_any(context.inputs, fit.read, ids))


def predict_by_all(context: FitContext) -> list[PartPrediction]:
    """What the parts predict that are fitted on all training patients."""
    about, ids = (context.model, context.others), context.patient_ids
    has, predictions = has_inputs(*about, context.inputs, ids), predicted(*about, ids).values()
    return [PartPrediction(one.survival, has[:, place]) for place, one in enumerate(predictions)]


def cross_fitted_scores(
    left_out: Sequence[Sequence[PartPrediction]], folds: np.ndarray, months: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n, M) scores of M parts that were fitted without the patient, and what they have read of.

    left_out[m][k]: the predictions of part m fitted without the patients of fold k. folds: (n,).
    """
    rows = np.arange(len(folds))
    scores = [np.stack([fit.scores(months)[0] for fit in fits])[folds, rows] for fits in left_out]
    has = [np.stack([fit.has for fit in fits])[folds, rows] for fits in left_out]
    return np.stack(scores, axis=1), np.stack(has, axis=1)


def log_hazard(survival: np.ndarray, months: int) -> np.ndarray:
    """(n,) logarithm of the cumulative hazard, averaged over the first times of curves (n, T).

    >>> from math import exp
    >>> log_hazard(np.array([[exp(-1.0), exp(-3.0), np.nan]]), 2).round(6).tolist()
    [0.693147]
    """
    hazard = -np.log(np.clip(survival[:, :months], LEAST_SURVIVAL, 1.0))
    score: np.ndarray = np.log(np.maximum(hazard.mean(axis=1), LEAST_HAZARD))
    return score


def common_months(curves: Sequence[np.ndarray]) -> int:
    """How many times of the grid all curves (n, T) reach. Raises NothingToLearnError for none."""
    reached = np.logical_and.reduce([np.isfinite(curve).all(axis=0) for curve in curves])
    months = len(reached) if reached.all() else int(reached.argmin())
    if not months:
        raise NothingToLearnError("there is no time at which all its parts estimate survival")
    return months


def on_diagonal(scores: np.ndarray) -> np.ndarray:
    """(n, M, M) what each part adds to the score of each part, from scores (n, M): to its own."""
    added = np.zeros((*scores.shape, scores.shape[1]))
    parts = np.arange(scores.shape[1])
    added[:, parts, parts] = scores
    return added


def sets_of_parts(reads: Sequence[Sequence[str]]) -> np.ndarray:
    """(K, M) bool: of which parts a patient can have any of what each reads."""
    names = list(dict.fromkeys(name for own in reads for name in own))
    sets = [
        [any(shown[names.index(name)] for name in own) for own in reads]
        for shown in product((True, False), repeat=len(names))
    ]
    return np.unique(np.array(sets, dtype=bool), axis=0)


def described(
    names: Sequence[str], weights: StackWeights, scores: np.ndarray
) -> list[dict[str, Any]]:
    """The parts with their weights where all have read of a patient, or as many as can.

    effect: log-hazard per standard deviation of the cross-fitted score; weight: per unit of it.
    """
    full = weights.weight[weights.has.sum(axis=1).argmax()]
    return [
        {"name": name, "weight": float(weight), "effect": float(weight * spread)}
        for name, weight, spread in zip(names, full, scores.std(axis=0), strict=True)
    ]


SURVIVAL = Stack()
