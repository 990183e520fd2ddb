"""Logistic regression with an elastic net, for diagnoses: from covariates alone to volumes."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, softmax

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.artifacts.prediction import ClassPrediction
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.models.classical.options import Option, covariates_of, settings_of, with_covariates_of
from survfuse.models.classical.pooled import PooledFeatures, fit_pooled
from survfuse.models.estimator import FitContext, PredictContext
from survfuse.models.specs import spec_of
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.diagnosis.outcomes import Classes
from survfuse.tasks.diagnosis.thresholds import threshold_of, threshold_patients

Array = NDArray[np.float64]

# From hardly any penalty, which suits a few covariates, to one under which nothing is left.
PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(-6, 5))
ITERATIONS = 2000


def fit_logistic(
    x: Array, part: TrainingPart, l1_ratio: float
) -> tuple[dict[str, Array], dict[str, Any], dict[str, Array]]:
    """Fit on all training patients of known class, with the penalty of least validation loss.

    x: (n, p) standardised. Patients count as `Classes.weight` says. The penalty is that of the
    least log loss of the validation patients under models of the others; without validation
    patients it is the middle one. Returns coefficients (K, p) and intercepts (K,), what was chosen,
    and those of the model of the others, by whose probabilities of the validation patients a
    threshold may be chosen.
    """
    outcome, validation = part.outcome_as(Classes), part.role == "validation"
    known, label, weight = outcome.known, outcome.label, outcome.weight()
    classes = len(outcome.names)

    def fit(rows: NDArray[np.bool_], penalty: float) -> dict[str, Array]:
        found = of_penalty(x, label, weight, rows, classes, penalty, l1_ratio)
        return settled(found, x[rows], label[rows], weight[rows])

    fitted = {penalty: fit(known & ~validation, penalty) for penalty in PENALTIES}
    held_out = known & validation
    losses = {
        penalty: log_loss(probabilities(x[held_out], **weights), label[held_out], weight[held_out])
        for penalty, weights in fitted.items()
        if held_out.any()
    }
    # Of equal losses the largest penalty; a middle one without validation patients.
    chosen = (
        min(losses, key=lambda c: (losses[c], -c)) if losses else PENALTIES[len(PENALTIES) // 2]
    )
    final = fit(known, chosen)
    return final, {"penalty": chosen, "validation_loss": losses.get(chosen)}, fitted[chosen]


def of_penalty(
    x: Array,
    label: NDArray[np.int64],
    weight: Array,
    rows: NDArray[np.bool_],
    classes: int,
    penalty: float,
    l1_ratio: float,
) -> dict[str, Array]:
    """Coefficients (K, p) and intercepts (K,) that minimise mean log loss + penalty * net.

    net: l1_ratio |b|_1 + (1 - l1_ratio) / 2 |b|_2^2, over the coefficients of all classes. The mean
    is over the patients marked in `rows` (n,), by their `weight` (n,).
    """
    coefficients, intercepts = np.zeros((classes, x.shape[1])), np.full(classes, -np.inf)
    if not x.shape[1]:  # nothing varies: everybody has the frequencies of the classes
        counts = np.bincount(label[rows], weight[rows], minlength=classes)
        intercepts[counts > 0] = np.log(counts[counts > 0])
        return {"coefficients": coefficients, "intercepts": intercepts}
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        solver="saga",
        l1_ratio=l1_ratio,
        C=1 / (penalty * weight[rows].sum()),
        max_iter=ITERATIONS,
        tol=1e-4,
        random_state=0,
    )
    with warnings.catch_warnings():
        # Near no penalty the last digits take for ever, and do not matter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[rows], label[rows], weight[rows])
    if len(model.classes_) == 2:  # one column stands for both
        coefficients[model.classes_[1]] = model.coef_[0]
        intercepts[model.classes_] = [0.0, model.intercept_[0]]
    else:
        coefficients[model.classes_] = model.coef_
        intercepts[model.classes_] = model.intercept_
    return {"coefficients": coefficients, "intercepts": intercepts}


def settled(
    fitted: dict[str, Array], x: Array, label: NDArray[np.int64], weight: Array
) -> dict[str, Array]:
    """The fit of two classes with the intercept at which the mean probability is the share.

    So it is at the minimum, as the intercept is not penalised; but saga stops by the coefficients
    alone and may leave it short by several of 100, which an absolute risk cannot bear. x: (n, p)
    and label, weight (n,) of the patients that were fitted on.
    """
    intercepts = fitted["intercepts"]
    if not np.isfinite(intercepts).all() or len(intercepts) != 2:
        return fitted
    linear = x @ (fitted["coefficients"][1] - fitted["coefficients"][0])

    def excess(intercept: float) -> float:
        return float(np.average(expit(linear + intercept) - (label == 1), weights=weight))

    reach = 50 + float(np.abs(linear).max(initial=0.0))
    return {**fitted, "intercepts": np.array([0.0, brentq(excess, -reach, reach)])}


def log_loss(probability: Array, label: NDArray[np.int64], weight: Array) -> float:
    """Weighted mean over patients of minus the logarithm of what their own class was given."""
    own = probability[np.arange(len(label)), label]
    return float(np.average(-np.log(np.clip(own, 1e-12, 1)), weights=weight))


def probabilities(x: Array, coefficients: Array, intercepts: Array) -> Array:
    """(n, K) probabilities of the classes."""
    scores: Array = softmax(x @ coefficients.T + intercepts, axis=1)
    return scores


class Logistic:
    """Logistic regression on covariates, genes, tiles and regional measures."""

    # Ridge by default: a few covariates of a small cohort should shrink and not vanish together.
    options: ClassVar = {"l1_ratio": Option(0.0, 0.0, 1.0)}

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse unknown, mistyped or out-of-range options."""
        covariates_of(model, config.cohort)
        settings_of(model, self.options)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Raises NothingToLearnError where nothing that it reads varies."""
        row, ids = context.model, context.patient_ids
        with_covariates = with_covariates_of(row, context.config)
        features = fit_pooled(context.inputs, ids, spec_of(row).reads, with_covariates)
        x = features.transform(context.inputs, ids)
        arrays, described = fit_matrix(x, context, **settings_of(row, self.options))
        return {**features.arrays(), **arrays}, {**features.to_json(), **described}

    def predict(self, fitted: FittedModel, context: PredictContext) -> ClassPrediction:
        """Probabilities of the classes."""
        features = PooledFeatures.from_stored(fitted.arrays, fitted.fit)
        x = features.transform(context.inputs, context.patient_ids)
        return diagnose_matrix(fitted, x, context)


def fit_matrix(
    x: Array, context: FitContext, l1_ratio: float
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Regression on the columns x (n, p) of the training part, and the threshold that goes with it.

    Stored are the coefficients for predictions, and as `held_out` those of the model that has not
    learned from the validation patients, by which the threshold is chosen.
    """
    part = context.part
    weights, chosen, others = fit_logistic(x, part, l1_ratio)
    held_out = probabilities(x[threshold_patients(part)], **others)
    arrays = {
        **{f"logistic.{name}": value for name, value in weights.items()},
        **{f"held_out.{name}": value for name, value in others.items()},
        "threshold": threshold_of(held_out, part),
    }
    fitted_ids = ids_hash(context.patient_ids)
    return arrays, {
        "chosen": chosen,
        "fitted_on": {
            "features": fitted_ids,
            "model": fitted_ids,
            "candidates": ids_hash(part.patient_ids[part.role == "train"].tolist()),
        },
    }


def diagnose_matrix(fitted: FittedModel, x: Array, context: PredictContext) -> ClassPrediction:
    """Probabilities for the columns x (n, p), by the model that the context asks for."""
    weights = fitted.under("held_out." if context.held_out else "logistic.")
    nobody = np.zeros(len(x), dtype=bool)
    return ClassPrediction(
        tuple(context.patient_ids),
        probabilities(x, **weights)[None],
        float(fitted.arrays["threshold"][0]),
        nobody,
    )


DIAGNOSIS = Logistic()
