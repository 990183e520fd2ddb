"""Logistic regression with an elastic net, for diagnoses: from covariates alone to volumes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from survfuse.classes import UNKNOWN
from survfuse.training.part import TrainingPart

Array = NDArray[np.float64]

# From hardly any penalty, which suits a few covariates, to one under which nothing is left.
PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(-6, 5))
ITERATIONS = 2000


def fit_logistic(
    x: Array, part: TrainingPart, classes: int, l1_ratio: float
) -> tuple[dict[str, Array], dict[str, Any], dict[str, Array]]:
    """Fit on all training patients of known class, with the penalty that inner patients prefer.

    x: (n, p) standardised. The penalty is that of the least log loss of the inner patients under
    models of the others; without inner patients it is the middle one. Returns coefficients (K, p)
    and intercepts (K,), what was chosen, and those of the model of the others, by whose
    probabilities of the inner patients a threshold may be chosen.
    """
    assert part.label is not None, "a diagnosis has labels"
    known, inner = part.label != UNKNOWN, part.role == "inner"
    fitted = {}
    for penalty in PENALTIES:
        fitted[penalty] = of_penalty(x, part.label, known & ~inner, classes, penalty, l1_ratio)
    judged = known & inner
    losses = {
        penalty: log_loss(probabilities(x[judged], **weights), part.label[judged])
        for penalty, weights in fitted.items()
        if judged.any()
    }
    # Of equal losses the largest penalty; a middle one where there is nobody to judge by.
    chosen = (
        min(losses, key=lambda c: (losses[c], -c)) if losses else PENALTIES[len(PENALTIES) // 2]
    )
    final = of_penalty(x, part.label, known, classes, chosen, l1_ratio)
    return final, {"penalty": chosen, "inner_loss": losses.get(chosen)}, fitted[chosen]


def of_penalty(
    x: Array,
    label: NDArray[np.int64],
    rows: NDArray[np.bool_],
    classes: int,
    penalty: float,
    l1_ratio: float,
) -> dict[str, Array]:
    """Coefficients (K, p) and intercepts (K,) that minimise mean log loss + penalty * net.

    net: l1_ratio |b|_1 + (1 - l1_ratio) / 2 |b|_2^2, over the coefficients of all classes.
    """
    coefficients, intercepts = np.zeros((classes, x.shape[1])), np.full(classes, -np.inf)
    if not x.shape[1]:  # nothing varies: everybody has the frequencies of the classes
        counts = np.bincount(label[rows], minlength=classes)
        intercepts[counts > 0] = np.log(counts[counts > 0])
        return {"coefficients": coefficients, "intercepts": intercepts}
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        solver="saga",
        l1_ratio=l1_ratio,
        C=1 / (penalty * rows.sum()),
        max_iter=ITERATIONS,
        tol=1e-4,
        random_state=0,
    )
    with warnings.catch_warnings():
        # Near no penalty the last digits take for ever, and do not matter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[rows], label[rows])
    if len(model.classes_) == 2:  # one column stands for both
        coefficients[model.classes_[1]] = model.coef_[0]
        intercepts[model.classes_] = [0.0, model.intercept_[0]]
    else:
        coefficients[model.classes_] = model.coef_
        intercepts[model.classes_] = model.intercept_
    return {"coefficients": coefficients, "intercepts": intercepts}


def log_loss(probability: Array, label: NDArray[np.int64]) -> float:
    """Mean over patients of minus the logarithm of what their own class was given."""
    own = probability[np.arange(len(label)), label]
    return float(-np.log(np.clip(own, 1e-12, 1)).mean())


def probabilities(x: Array, coefficients: Array, intercepts: Array) -> Array:
    """(n, K) probabilities of the classes."""
    scores: Array = softmax(x @ coefficients.T + intercepts, axis=1)
    return scores
