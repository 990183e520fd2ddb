"""Ridge Cox regression of a block of columns, however many, with its penalty by cross-validation.

A block of p columns is divided by the square root of p, so that a penalty means the same whatever
the width: its inverse is the prior variance of the log-hazard of a patient whose standardised
columns are of the usual size. With more columns than patients the model is fitted in the
coordinates of the singular value decomposition, which gives the same coefficients (Hastie and
Tibshirani, Biostatistics 2004;5:329).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from survfuse.models.stacking.partial_likelihood import PartialLikelihood

PENALTIES = tuple(float(value) for value in np.geomspace(300.0, 0.05, 9))
FOLDS = 5
LEAST_EVENTS = 2  # without which no penalty can be compared with another
STEPS = 50  # of Newton's method; a handful is enough
PRECISE = 1e-9  # the largest step of a coefficient, at the end
LEAST_SINGULAR = 1e-8  # of the largest squared singular value; smaller ones are rounding


@dataclass(frozen=True)
class RidgeCox:
    """Coefficients (p,) of a block; all 0 where no effect predicts best.

    penalty: on the columns divided by the square root of their number; infinite for no effect.
    gain: in cross-validated log partial likelihood, over no effect.
    """

    coefficients: np.ndarray
    penalty: float
    gain: float

    def log_hazard(self, x: np.ndarray) -> np.ndarray:
        """Log-hazards (n,) of patients (n, p), relative to the average training patient."""
        return x @ self.coefficients


def fit_ridge_cox(
    x: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    seed: int,
    offset: np.ndarray | None = None,
    penalties: Sequence[float] = PENALTIES,
) -> RidgeCox:
    """Ridge Cox model of standardised columns x (n, p), the penalty chosen by cross-validation.

    Candidates are compared by the cross-validated log partial likelihood (Verweij and van
    Houwelingen, Stat Med 1993;12:2305) over folds that are stratified by event, drawn with `seed`;
    no effect at all is one of them. offset: (n,) known log-hazard that the block adds to.

    >>> x = np.array([[1.0], [-1.0], [0.5], [-0.5]])
    >>> time, event = np.array([1.0, 4.0, 2.0, 3.0]), np.array([True, True, True, True])
    >>> model = fit_ridge_cox(x, time, event, 0, penalties=[1.0])
    >>> bool(model.coefficients[0] > 0)
    True
    """
    reduced, back = coordinates(x)
    model = fit_in_coordinates(reduced, time, event, seed, offset, penalties)
    return RidgeCox(back @ model.coefficients, model.penalty, model.gain)


def fit_in_coordinates(
    reduced: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    seed: int,
    offset: np.ndarray | None = None,
    penalties: Sequence[float] = PENALTIES,
) -> RidgeCox:
    """The same of columns that `coordinates` has made, (n, r), with coefficients (r,) of them."""
    known = np.zeros(len(reduced)) if offset is None else offset
    nothing = RidgeCox(np.zeros(reduced.shape[1]), float("inf"), 0.0)
    if reduced.shape[1] == 0 or event.sum() < LEAST_EVENTS:
        return nothing
    gains = cross_validated_gains(reduced, time, event, known, seed, penalties)
    best = int(gains.argmax())
    if gains[best] <= 0:
        return nothing
    exact = fit_exactly(reduced, PartialLikelihood.of(time, event), known, penalties[best])
    return RidgeCox(exact, penalties[best], float(gains[best]))


def fit_exactly(
    x: np.ndarray, likelihood: PartialLikelihood, offset: np.ndarray, penalty: float
) -> np.ndarray:
    """Coefficients (p,) of columns x (n, p) at a penalty, to rounding; p may be 0."""
    if x.shape[1] == 0:
        return np.empty(0)
    start = quasi_newton(x, likelihood, offset, penalty, np.zeros(x.shape[1]))
    if x.shape[1] <= len(x):
        return newton(x, likelihood, offset, penalty, start)
    # With more columns than patients, the fit lies in as many directions as there are patients.
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    exact: np.ndarray = right.T @ newton(
        left * singular, likelihood, offset, penalty, right @ start
    )
    return exact


def coordinates(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns divided by the square root of their number, (n, r), and the way back (p, r).

    With more columns than patients r is the rank: the coordinates are U S of the singular value
    decomposition U S V', found from the products of patients, and the way back is V.
    """
    width = np.sqrt(x.shape[1])
    if x.shape[1] <= len(x):
        return x / width, np.eye(x.shape[1]) / width
    squared, vectors = np.linalg.eigh(x @ x.T)
    kept = squared > squared[-1] * LEAST_SINGULAR
    singular = np.sqrt(squared[kept])
    left = vectors[:, kept]
    return left * (singular / width), (x.T @ (left / singular)) / width


def cross_validated_gains(
    scaled: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    offset: np.ndarray,
    seed: int,
    penalties: Sequence[float],
) -> np.ndarray:
    """Gain in cross-validated log partial likelihood over no effect, of every penalty.

    The part of the patients left out is the likelihood of everybody less that of those fitted on.
    """
    gains = np.zeros(len(penalties))
    everybody = PartialLikelihood.of(time, event)
    folds = stratified_folds(event, FOLDS, seed)
    for fold in range(FOLDS):
        kept = folds != fold
        if not event[kept].any():
            continue
        fitted_on = PartialLikelihood.of(time[kept], event[kept])
        nothing = everybody.value(offset) - fitted_on.value(offset[kept])
        gamma = np.zeros(scaled.shape[1])
        for position, penalty in enumerate(penalties):  # from strong to weak, each from the last
            gamma = quasi_newton(scaled[kept], fitted_on, offset[kept], penalty, gamma)
            score = offset + scaled @ gamma
            gains[position] += everybody.value(score) - fitted_on.value(score[kept]) - nothing
    return gains


def quasi_newton(
    x: np.ndarray,
    likelihood: PartialLikelihood,
    offset: np.ndarray,
    penalty: float,
    start: np.ndarray,
) -> np.ndarray:
    """Coefficients (p,) of columns x (n, p) under a ridge penalty, to about four digits.

    L-BFGS in coordinates in which the information is about the identity.
    """
    from scipy.optimize import minimize

    weights = likelihood.weights(offset + x @ start)
    scale = 1 / np.sqrt((weights[:, None] * x**2).sum(axis=0) + penalty)

    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        gamma = u * scale
        value, slope = likelihood.value_and_slope(offset + x @ gamma)
        gradient = (penalty * gamma - slope @ x) * scale
        return 0.5 * penalty * float(gamma @ gamma) - value, gradient

    found = minimize(loss, start / scale, jac=True, method="L-BFGS-B", options={"gtol": 1e-3})
    gamma: np.ndarray = found.x * scale
    return gamma


def newton(
    x: np.ndarray,
    likelihood: PartialLikelihood,
    offset: np.ndarray,
    penalty: float,
    start: np.ndarray,
) -> np.ndarray:
    """The same, exactly; halves steps that would lower the penalised likelihood."""

    def penalised(gamma: np.ndarray) -> float:
        return likelihood.value(offset + x @ gamma) - 0.5 * penalty * float(gamma @ gamma)

    gamma, height = start, penalised(start)
    for _ in range(STEPS):
        score = offset + x @ gamma
        gradient = likelihood.value_and_slope(score)[1] @ x - penalty * gamma
        information = likelihood.curvature(score, x) + penalty * np.eye(x.shape[1])
        step = np.linalg.solve(information, gradient)
        while (higher := penalised(gamma + step)) < height - 1e-9 and np.abs(step).max() > PRECISE:
            step = step / 2
        gamma, height = gamma + step, higher
        if np.abs(step).max() < PRECISE:
            break
    return gamma


def stratified_folds(event: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """(n,) a fold for every patient, events and censored patients spread evenly."""
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(event)), event))
    assigned = np.empty(len(event), dtype=np.int64)
    assigned[order] = np.arange(len(event)) % folds
    return assigned
