"""Are predicted probabilities of a yes-or-no outcome right, and worth acting on?

The outcome here is known for every row; those whose outcome is not known are stood for by the
weights of the others (see `censoring`), which are taken as known. Where a patient has several rows,
rows are summed by patient before their spread is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.special import expit, logit

from survfuse.core.errors import UserInputError
from survfuse.statistics.calibration import standardised
from survfuse.statistics.intervals import Estimate, NotEstimableError
from survfuse.statistics.proportions import proportion

ROWS_PER_BIN = 20
MOST_BINS = 10
CERTAIN = 1e-9  # probabilities closer to 0 or 1 than this mean "certain", and have no logit
MOST_STEPS = 50
STEEPEST = 1e3  # a slope beyond this means that a logit separates the outcomes


def mean_with_interval(
    terms: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Estimate:
    """Weighted mean of `terms` (n,) with its normal interval, patients being independent."""
    weight = np.ones(len(terms)) if weight is None else weight
    value = float((weight * terms).sum() / weight.sum())
    groups: np.ndarray = weight * (terms - value)
    if patient is not None:
        groups = np.bincount(np.unique(patient, return_inverse=True)[1], weights=groups)
    if len(groups) < 2:
        return Estimate(value, reason="there is one patient only, so there is no interval")
    variance = len(groups) / (len(groups) - 1) * float(groups @ groups) / float(weight.sum()) ** 2
    margin = NormalDist().inv_cdf(0.5 + confidence / 2) * variance**0.5
    return Estimate(value, value - margin, value + margin)


def brier(
    probability: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Estimate:
    """Mean squared error of the probabilities (n,) of the outcome (n,) bool."""
    found = mean_with_interval((probability - case) ** 2, confidence, patient, weight)
    if found.low is None or found.high is None:
        return found
    return Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0))


def observed_expected_ratio(
    probability: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Estimate:
    """Observed share of cases over the mean probability; above 1, more happened than was said.

    The interval is Wilson's of the observed share. A mean probability of 0 has no ratio.
    """
    case = np.asarray(case, bool)
    expected = float(np.average(probability, weights=weight))
    if expected <= 0:
        return Estimate(reason="the model expects no case at all")
    share = proportion(case, confidence, patient, weight)
    low = None if share.low is None else share.low / expected
    high = None if share.high is None else share.high / expected
    observed = float(np.average(case, weights=weight))
    return Estimate(observed / expected, low, high, share.reason)


def calibration_intercept(
    probability: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Estimate:
    """Calibration in the large: what must be added to all logits to get the mean right; 0 is best.

    The intercept of a logistic regression with the logit as offset. Raises nothing; where only one
    outcome occurs the reason is given.
    """
    offset = logits(probability)
    return coefficient(np.ones((len(offset), 1)), offset, case, confidence, patient, 0, weight)


def calibration_slope(
    probability: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    fold: np.ndarray | None = None,
) -> Estimate:
    """Coefficient of the logit in a logistic regression on the outcome; 1 is best.

    Below 1 the probabilities are too extreme, above 1 too timid (Cox, Biometrika 1958;45:562).
    `fold` (n,) says which model predicted a row: as in `calibration.calibration_slope`, rows are
    compared within folds, the predictions of every fold are brought to one spread for the fit, and
    the variance is multiplied by 1 + 2 n_test/n_train. A fold with one outcome alone is not
    informative.
    """
    case = np.asarray(case, bool)
    code = np.unique(np.zeros(len(case)) if fold is None else fold, return_inverse=True)[1]
    share = np.bincount(code, weights=case) / np.bincount(code)
    kept = ((share > 0) & (share < 1))[code]
    if not kept.any():
        return Estimate(reason="only one outcome occurs, so there is no calibration to fit")
    _, code = np.unique(code[kept], return_inverse=True)
    try:
        predictor, spread = standardised(logits(probability)[kept], code)
    except NotEstimableError:
        return Estimate(reason="all rows have the same prediction, so there is no slope")
    design = np.column_stack([np.eye(len(spread))[code], predictor])
    found = coefficient(
        design,
        np.zeros(len(design)),
        case[kept],
        confidence,
        None if patient is None else patient[kept],
        len(spread),
        None if weight is None else weight[kept],
    )
    if found.value is None or found.low is None:
        return found
    varying = spread > 0
    scale = float(np.average(spread[varying], weights=np.bincount(code)[varying]))
    folds = 1 if fold is None else len(np.unique(fold))
    margin = (found.value - found.low) * (1 + (2 / (folds - 1) if folds > 1 else 0)) ** 0.5
    return Estimate(
        found.value / scale, (found.value - margin) / scale, (found.value + margin) / scale
    )


def logits(probability: np.ndarray) -> np.ndarray:
    """Log-odds, finite also where the model is certain."""
    return np.asarray(logit(np.clip(probability, CERTAIN, 1 - CERTAIN)))


def coefficient(
    design: np.ndarray,
    offset: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None,
    which: int,
    weight: np.ndarray | None = None,
) -> Estimate:
    """One coefficient of a logistic regression with its Wald interval.

    The variance is the model's, or where `patient` or a `weight` (n,) other than 1 is given, the
    sandwich over patients.
    """
    weighted = weight is not None and bool((weight != 1).any())
    try:
        beta, information = logistic_fit(design, offset, np.asarray(case, float), weight)
    except NotEstimableError as error:
        return Estimate(reason=str(error))
    covariance = np.linalg.inv(information)
    if patient is not None or weighted:
        residual = np.asarray(case, float) - expit(offset + design @ beta)
        residual = residual if weight is None else weight * residual
        whose = np.arange(len(residual)) if patient is None else patient
        code = np.unique(whose, return_inverse=True)[1]
        score = np.zeros((code.max() + 1, design.shape[1]))
        np.add.at(score, code, design * residual[:, None])
        patients = len(score)
        meat = score.T @ score * patients / max(patients - 1, 1)
        covariance = covariance @ meat @ covariance
    margin = NormalDist().inv_cdf(0.5 + confidence / 2) * float(covariance[which, which]) ** 0.5
    value = float(beta[which])
    return Estimate(value, value - margin, value + margin)


def logistic_fit(
    design: np.ndarray, offset: np.ndarray, outcome: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum-likelihood coefficients (k,) and information (k, k), by Newton with halved steps.

    Every row counts as often as `weight` (n,) says.

    Raises NotEstimableError where one outcome only occurs or the predictor separates them.
    """
    if not 0 < outcome.sum() < len(outcome):
        raise NotEstimableError("only one outcome occurs, so there is no calibration to fit")
    weight = np.ones(len(outcome)) if weight is None else weight

    def loss(beta: np.ndarray) -> float:
        linear = offset + design @ beta
        return float((weight * (np.logaddexp(0, linear) - outcome * linear)).sum())

    beta = np.zeros(design.shape[1])
    for _ in range(MOST_STEPS):
        fitted = expit(offset + design @ beta)
        information = (design * (weight * fitted * (1 - fitted))[:, None]).T @ design
        gradient = design.T @ (weight * (outcome - fitted))
        if np.linalg.cond(information) > 1e14 or np.abs(beta).max() > STEEPEST:
            break
        step = np.linalg.solve(information, gradient)
        if np.abs(step).max() < 1e-10:
            return beta, information
        now = loss(beta)
        while loss(beta + step) > now + 1e-12 and np.abs(step).max() > 1e-12:
            step = step / 2
        beta = beta + step
    raise NotEstimableError("the predictions separate the outcomes, so the fit has no end")


def calibration_points(
    probability: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Mean predicted against observed share, in groups of rising prediction.

    Up to ten groups of at least about 20 rows; equal predictions share a group.
    """
    bins = int(np.clip(len(case) // ROWS_PER_BIN, 2, MOST_BINS))
    edges = np.unique(np.quantile(probability, np.arange(1, bins) / bins))
    group = np.searchsorted(edges, probability, side="left")
    points = []
    for number in np.unique(group):
        rows = group == number
        whose = None if patient is None else patient[rows]
        w = None if weight is None else weight[rows]
        fields = proportion(np.asarray(case, bool)[rows], confidence, whose, w).as_json()
        predicted = float(np.average(probability[rows], weights=w))
        point = {"predicted": predicted, "observed": fields.pop("value")}
        points.append({**point, **fields, "n": int(rows.sum())})
    return points


def net_benefit(
    probability: np.ndarray,
    case: np.ndarray,
    thresholds: Sequence[float],
    confidence: float,
    patient: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Decision curve: true positives less the false ones at their price, per row, by threshold.

    Net benefit = TP/n - FP/n * t/(1 - t), with probability >= t meaning treat (Vickers and Elkin,
    Med Decis Making 2006;26:565); beside it that of treating all (treating none is 0) and the
    model's advantage over the better of the two, each with an interval. Thresholds are to be set
    before looking. Raises UserInputError for one outside 0 to 1.
    """
    case, about = np.asarray(case, float), (confidence, patient, weight)
    curve = []
    for threshold in thresholds:
        if not 0 < threshold < 1:
            raise UserInputError(
                f"a decision curve has no point at a threshold of {threshold:g}; use probabilities "
                "between 0 and 1"
            )
        worth = case - (1 - case) * threshold / (1 - threshold)
        ours = (probability >= threshold) * worth
        better = worth if np.average(worth, weights=weight) > 0 else np.zeros(len(worth))
        curve.append(
            {
                "threshold": float(threshold),
                "model": mean_with_interval(ours, *about).as_json(),
                "treat_all": mean_with_interval(worth, *about).as_json(),
                "advantage": mean_with_interval(ours - better, *about).as_json(),
            }
        )
    return curve
