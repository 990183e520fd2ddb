"""Ridge logistic regression of blocks of columns, for two classes or more.

What `ridge_cox` and `joint_ridge` do for survival: columns come in the same coordinates, penalties
mean the same and are chosen in the same way, by cross-validated log-likelihood. Intercepts are not
penalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from survfuse.models.stacking.class_likelihood import ClassLikelihood
from survfuse.models.stacking.joint_ridge import (
    LIGHT,
    NONE,
    JointRidge,
    best_penalties,
    by_blocks,
    gains_of_each,
    weighed,
)
from survfuse.models.stacking.ridge_cox import FOLDS, PENALTIES, stratified_folds

LEAST_PATIENTS = 2  # of two classes, without which no penalty can be compared with another
ROUGH, PRECISE = 1e-3, 1e-7  # slope at the end, of penalties that are compared and of the one taken


@dataclass(frozen=True)
class RidgeLogistic:
    """Coefficients (r, Q) of a block; all 0 where no effect predicts best.

    penalty: on the coordinates; infinite for no effect. gain: in cross-validated log-likelihood,
    over intercepts alone.
    """

    coefficients: np.ndarray
    penalty: float
    gain: float


@dataclass(frozen=True)
class Parts:
    """Folds of patients: rows of those that are fitted on, and the likelihoods of both parts."""

    kept: tuple[np.ndarray, ...]
    fitted: tuple[ClassLikelihood, ...]
    left_out: tuple[ClassLikelihood, ...]

    @staticmethod
    def of(label: np.ndarray, weight: np.ndarray, classes: int, seed: int) -> Parts:
        """Folds that are stratified by class, drawn with `seed`."""
        folds = stratified_folds(label, FOLDS, seed)

        def likelihoods(several: Sequence[np.ndarray]) -> tuple[ClassLikelihood, ...]:
            return tuple(ClassLikelihood.of(label[one], weight[one], classes) for one in several)

        kept, others = zip(*((folds != fold, folds == fold) for fold in range(FOLDS)), strict=True)
        return Parts(kept, likelihoods(kept), likelihoods(others))


def fit_in_coordinates(
    x: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    classes: int,
    seed: int,
    penalties: Sequence[float] = PENALTIES,
) -> RidgeLogistic:
    """Regression on columns (n, r) that `coordinates` has made, the penalty by cross-validation.

    No effect at all is one of the candidates. label, weight: (n,) of the patients.

    >>> x, label = np.array([[1.0], [-1.0]] * 10), np.array([1, 0] * 10)
    >>> bool(fit_in_coordinates(x, label, np.ones(20), 2, 0).coefficients[0, 0] > 0)
    True
    """
    everybody = ClassLikelihood.of(label, weight, classes)
    nothing = RidgeLogistic(np.zeros((x.shape[1], everybody.predictors)), NONE, 0.0)
    if x.shape[1] == 0 or not can_compare(label):
        return nothing
    gains = cross_validated_gains(x, Parts.of(label, weight, classes, seed), penalties)
    best = int(gains.argmax())
    if gains[best] <= 0:
        return nothing
    exact = fit_ridge(x, everybody, penalties[best], gradient=PRECISE)
    return RidgeLogistic(exact[1:], penalties[best], float(gains[best]))


def fit_joint(
    free: np.ndarray,
    blocks: Sequence[np.ndarray],
    label: np.ndarray,
    weight: np.ndarray,
    classes: int,
    seed: int,
) -> JointRidge:
    """Fit on free columns (n, q) and blocks (n, r) together, each block with a penalty of its own.

    Coefficients are (q, Q) and (r, Q).
    """
    parts = Parts.of(label, weight, classes, seed)

    @cache
    def likelihood(penalties: tuple[float, ...]) -> float:
        """Cross-validated log-likelihood."""
        x = weighed(free, blocks, penalties)
        total = 0.0
        for rows, fitted, left_out in zip(parts.kept, parts.fitted, parts.left_out, strict=True):
            found = fit_ridge(x[rows], fitted, LIGHT)
            total += left_out.value(found[0] + x[~rows] @ found[1:])
        return total

    none = (NONE,) * len(blocks)
    chosen = best_penalties(len(blocks), likelihood) if can_compare(label) else none
    everybody = ClassLikelihood.of(label, weight, classes)
    exact = fit_ridge(weighed(free, blocks, chosen), everybody, LIGHT, gradient=PRECISE)[1:]
    own = by_blocks(exact[free.shape[1] :], blocks, chosen)
    gain = likelihood(chosen) - likelihood(none)
    return JointRidge(exact[: free.shape[1]], own, chosen, gain, gains_of_each(chosen, likelihood))


def can_compare(label: np.ndarray) -> bool:
    """Whether two classes have enough patients to compare penalties by."""
    return int((np.bincount(label) >= LEAST_PATIENTS).sum()) > 1


def cross_validated_gains(x: np.ndarray, parts: Parts, penalties: Sequence[float]) -> np.ndarray:
    """Gain in log-likelihood of the patients left out, over intercepts alone, of every penalty."""
    gains = np.zeros(len(penalties))
    for rows, fitted, left_out in zip(parts.kept, parts.fitted, parts.left_out, strict=True):
        found, others = None, x[~rows]
        alone = fitted.intercepts()
        nothing = left_out.value(np.tile(alone, (len(others), 1)))
        for position, penalty in enumerate(penalties):  # from strong to weak, each from the last
            found = fit_ridge(x[rows], fitted, penalty, found)
            gains[position] += left_out.value(found[0] + others @ found[1:]) - nothing
    return gains


def fit_ridge(
    x: np.ndarray,
    likelihood: ClassLikelihood,
    penalty: float,
    start: np.ndarray | None = None,
    gradient: float = ROUGH,
) -> np.ndarray:
    """Intercepts and coefficients (1 + p, Q) of columns x (n, p) under a ridge penalty.

    L-BFGS in coordinates in which the information is about the identity; `gradient` is the largest
    slope in them at the end.
    """
    from scipy.optimize import minimize

    shape = (1 + x.shape[1], likelihood.predictors)
    if start is None:
        start = np.zeros(shape)
        start[0] = likelihood.intercepts()
    share, weight = likelihood.shares()[-shape[1] :], likelihood.own.sum(axis=1)
    spread = np.concatenate([[weight.sum()], weight @ x**2])[:, None] * (share * (1 - share))
    penalties = np.full((shape[0], 1), penalty)
    penalties[0] = 0.0
    scale = 1 / np.sqrt(spread + penalties)

    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        beta = u.reshape(shape) * scale
        value, slope = likelihood.value_and_slope(beta[0] + x @ beta[1:])
        uphill = np.concatenate([slope.sum(axis=0)[None], x.T @ slope])
        downhill = (penalties * beta - uphill) * scale
        return 0.5 * float((penalties * beta**2).sum()) - value, downhill.ravel()

    options = {"gtol": gradient, "ftol": 1e-9 if gradient >= ROUGH else 1e-15, "maxiter": 2000}
    found = minimize(loss, (start / scale).ravel(), jac=True, method="L-BFGS-B", options=options)
    beta: np.ndarray = found.x.reshape(shape) * scale
    return beta
