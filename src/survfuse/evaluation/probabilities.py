"""Are predicted probabilities of a yes-or-no outcome right, and worth acting on?

The outcome here is known for every row; for censored outcomes see calibration.py. Where a patient
has several rows, rows are summed by patient before their spread is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.special import expit, logit

from survfuse.errors import UserInputError
from survfuse.evaluation.intervals import Estimate, NotEstimableError
from survfuse.evaluation.proportions import proportion

ROWS_PER_BIN = 20
MOST_BINS = 10
CERTAIN = 1e-9  # probabilities closer to 0 or 1 than this mean "certain", and have no logit
MOST_STEPS = 50
STEEPEST = 1e3  # a slope beyond this means that a logit separates the outcomes


def mean_with_interval(
    terms: np.ndarray, confidence: float, patient: np.ndarray | None = None
) -> Estimate:
    """Mean of `terms` (n,) with its normal interval, patients being independent, not rows."""
    value = float(terms.mean())
    groups: np.ndarray = terms - value
    if patient is not None:
        groups = np.bincount(np.unique(patient, return_inverse=True)[1], weights=groups)
    if len(groups) < 2:
        return Estimate(value, reason="there is one patient only, so there is no interval")
    variance = len(groups) / (len(groups) - 1) * float(groups @ groups) / len(terms) ** 2
    margin = NormalDist().inv_cdf(0.5 + confidence / 2) * variance**0.5
    return Estimate(value, value - margin, value + margin)


def brier(
    probability: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
) -> Estimate:
    """Mean squared error of the probabilities (n,) of the outcome (n,) bool."""
    found = mean_with_interval((probability - case) ** 2, confidence, patient)
    if found.low is None or found.high is None:
        return found
    return Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0))


def observed_expected_ratio(
    probability: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
) -> Estimate:
    """Observed share of cases over the mean probability; above 1, more happened than was said.

    The interval is Wilson's of the observed share. A mean probability of 0 has no ratio.
    """
    expected = float(probability.mean())
    if expected <= 0:
        return Estimate(reason="the model expects no case at all")
    share = proportion(np.asarray(case, bool), confidence, patient)
    low = None if share.low is None else share.low / expected
    high = None if share.high is None else share.high / expected
    return Estimate(float(np.mean(case)) / expected, low, high, share.reason)


def calibration_intercept(
    probability: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
) -> Estimate:
    """Calibration in the large: what must be added to all logits to get the mean right; 0 is best.

    The intercept of a logistic regression with the logit as offset. Raises nothing; where only one
    outcome occurs the reason is given.
    """
    offset = logits(probability)
    return coefficient(np.ones((len(offset), 1)), offset, case, confidence, patient, 0)


def calibration_slope(
    probability: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
) -> Estimate:
    """Coefficient of the logit in a logistic regression on the outcome; 1 is best.

    Below 1 the probabilities are too extreme, above 1 too timid (Cox, Biometrika 1958;45:562).
    """
    logit_of = logits(probability)
    if np.ptp(logit_of) < CERTAIN:
        return Estimate(reason="all rows have the same prediction, so there is no slope")
    design = np.column_stack([np.ones(len(logit_of)), logit_of])
    return coefficient(design, np.zeros(len(logit_of)), case, confidence, patient, 1)


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
) -> Estimate:
    """One coefficient of a logistic regression with its Wald interval.

    The variance is the model's, or where `patient` is given, the sandwich over patients.
    """
    try:
        beta, information = logistic_fit(design, offset, np.asarray(case, float))
    except NotEstimableError as error:
        return Estimate(reason=str(error))
    covariance = np.linalg.inv(information)
    if patient is not None:
        residual = np.asarray(case, float) - expit(offset + design @ beta)
        code = np.unique(patient, return_inverse=True)[1]
        score = np.zeros((code.max() + 1, design.shape[1]))
        np.add.at(score, code, design * residual[:, None])
        patients = len(score)
        meat = score.T @ score * patients / max(patients - 1, 1)
        covariance = covariance @ meat @ covariance
    margin = NormalDist().inv_cdf(0.5 + confidence / 2) * float(covariance[which, which]) ** 0.5
    value = float(beta[which])
    return Estimate(value, value - margin, value + margin)


def logistic_fit(
    design: np.ndarray, offset: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum-likelihood coefficients (k,) and information (k, k), by Newton with halved steps.

    Raises NotEstimableError where one outcome only occurs or the predictor separates them.
    """
    if not 0 < outcome.sum() < len(outcome):
        raise NotEstimableError("only one outcome occurs, so there is no calibration to fit")

    def loss(beta: np.ndarray) -> float:
        linear = offset + design @ beta
        return float((np.logaddexp(0, linear) - outcome * linear).sum())

    beta = np.zeros(design.shape[1])
    for _ in range(MOST_STEPS):
        fitted = expit(offset + design @ beta)
        information = (design * (fitted * (1 - fitted))[:, None]).T @ design
        gradient = design.T @ (outcome - fitted)
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
        fields = proportion(np.asarray(case, bool)[rows], confidence, whose).as_json()
        point = {"predicted": float(probability[rows].mean()), "observed": fields.pop("value")}
        points.append({**point, **fields, "n": int(rows.sum())})
    return points


def net_benefit(
    probability: np.ndarray,
    case: np.ndarray,
    thresholds: Sequence[float],
    confidence: float,
    patient: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Decision curve: true positives less the false ones at their price, per row, by threshold.

    Net benefit = TP/n - FP/n * t/(1 - t), with probability >= t meaning treat (Vickers and Elkin,
    Med Decis Making 2006;26:565); beside it that of treating all (treating none is 0) and the
    model's advantage over the better of the two, each with an interval. Thresholds are to be set
    before looking. Raises UserInputError for one outside 0 to 1.
    """
    case = np.asarray(case, float)
    curve = []
    for threshold in thresholds:
        if not 0 < threshold < 1:
            raise UserInputError(
                f"a decision curve has no point at a threshold of {threshold:g}; use probabilities "
                "between 0 and 1"
            )
        worth = case - (1 - case) * threshold / (1 - threshold)
        ours = (probability >= threshold) * worth
        better = worth if worth.mean() > 0 else np.zeros(len(worth))
        curve.append(
            {
                "threshold": float(threshold),
                "model": mean_with_interval(ours, confidence, patient).as_json(),
                "treat_all": mean_with_interval(worth, confidence, patient).as_json(),
                "advantage": mean_with_interval(ours - better, confidence, patient).as_json(),
            }
        )
    return curve
