"""Sensitivity, specificity and their kin at a threshold, with intervals; choosing the threshold.

A threshold is chosen on validation data of the training part, never on what is then scored. Where a
patient has several rows, the interval uses the number of independent rows that would have the
same spread (the effective sample size).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from survfuse.core.errors import UserInputError
from survfuse.statistics.intervals import Estimate


def wilson(successes: float, trials: float, confidence: float) -> Estimate:
    """A proportion with Wilson's score interval (JASA 1927;22:209); trials may be a fraction."""
    if trials <= 0:
        return Estimate(reason="there are no rows to count")
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    p = successes / trials
    middle = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    margin = np.sqrt(z2 * (p * (1 - p) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return Estimate(p, float(max(middle - margin, 0)), float(min(middle + margin, 1)))


def effective_rows(
    success: np.ndarray, patient: np.ndarray | None, weight: np.ndarray | None = None
) -> float:
    """How many independent rows say as much about the mean of `success` (n,) bool as these do.

    It is p (1 - p) / v, v being the variance of the weighted mean between patients (Taylor's for a
    ratio), and at most the rows. Where all rows agree nothing varies, and the patients are counted;
    with weights, (sum w)^2 / sum w^2 (Kish).
    """
    if not len(success) or (patient is None and weight is None):
        return float(len(success))
    code = (
        np.arange(len(success)) if patient is None else np.unique(patient, return_inverse=True)[1]
    )
    patients = int(code.max()) + 1
    w = np.ones(len(success)) if weight is None else weight
    total = np.bincount(code, weights=w)
    fewest = float(total.sum() ** 2 / (total @ total)) if (w != w[0]).any() else float(patients)
    if patients == len(success) and (w == w[0]).all():
        return float(patients)
    p = float(np.average(success, weights=w))
    if patients < 2 or p in (0.0, 1.0):
        return fewest
    apart = np.bincount(code, weights=w * (success - p))
    variance = patients / (patients - 1) * float(apart @ apart) / w.sum() ** 2
    return min(p * (1 - p) / variance, float(len(success))) if variance else fewest


def proportion(
    success: np.ndarray,
    confidence: float,
    patient: np.ndarray | None,
    weight: np.ndarray | None = None,
) -> Estimate:
    """The share of rows that succeed, (n,) bool, with Wilson's interval on the effective rows.

    `weight` (n,): what every row counts; its error is not part of the interval.
    """
    rows = effective_rows(success, patient, weight)
    share = float(np.average(success, weights=weight)) if len(success) else 0.0
    return wilson(share * rows, rows, confidence)


def youden_threshold(
    score: np.ndarray, case: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """The threshold (score >= it means positive) with the highest sensitivity + specificity.

    Rows count as `weight` (n,) says, all equally without it.

    Between neighbouring scores the midpoint, so that no patient sits on the border; of equally
    good ones the one in the widest gap of scores. Raises UserInputError without both outcomes.
    """
    cases = int(np.sum(case))
    if not 0 < cases < len(case):
        raise UserInputError(
            f"a threshold cannot be chosen on {cases} cases and {len(case) - cases} controls: "
            "both outcomes must occur in the validation part; give it more patients"
        )
    values = np.unique(score)
    if len(values) == 1:
        return float(values[0])
    cuts = (values[1:] + values[:-1]) / 2
    sensitivity, specificity = rates(score, case, cuts, weight)
    youden = sensitivity + specificity
    best = youden >= youden.max() - 1e-12
    return float(cuts[np.argmax(np.where(best, np.diff(values), -1.0))])


def rates(
    score: np.ndarray, case: np.ndarray, thresholds: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity and specificity at each threshold, score >= threshold meaning positive."""
    weight = np.ones(len(score)) if weight is None else weight

    def below(rows: np.ndarray) -> np.ndarray:
        order = np.argsort(score[rows])
        sums = np.r_[0.0, np.cumsum(weight[rows][order])]
        return sums[np.searchsorted(score[rows][order], thresholds, "left")] / sums[-1]

    case = case.astype(bool)
    return 1 - below(case), below(~case)


@dataclass(frozen=True)
class Decisions:
    """What decisions are worth against the outcome; the counts are rows."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    sensitivity: Estimate
    specificity: Estimate
    balanced_accuracy: Estimate
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate
    f1: Estimate


def decisions(
    positive: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Decisions:
    """Score decisions (n,) bool against `case` (n,) bool; shares by `weight` (n,), counts of rows.

    Positive and negative predictive value hold for the prevalence of these rows only.
    """
    positive, case = np.asarray(positive, bool), np.asarray(case, bool)

    def among(rows: np.ndarray, success: np.ndarray) -> Estimate:
        whose = None if patient is None else patient[rows]
        counting = None if weight is None else weight[rows]
        return proportion(success[rows], confidence, whose, counting)

    sensitivity, specificity = among(case, positive), among(~case, ~positive)
    return Decisions(
        true_positive=int((positive & case).sum()),
        false_positive=int((positive & ~case).sum()),
        true_negative=int((~positive & ~case).sum()),
        false_negative=int((~positive & case).sum()),
        sensitivity=sensitivity,
        specificity=specificity,
        balanced_accuracy=mean_of([sensitivity, specificity]),
        positive_predictive_value=among(positive, case),
        negative_predictive_value=among(~positive, ~case),
        # F1 = 2 J / (1 + J) with Jaccard's J, a plain proportion: of the rows that are cases or
        # called so, the share that is both. The interval of J carries over.
        f1=f1_of(among(positive | case, positive & case)),
    )


def mean_of(parts: Sequence[Estimate]) -> Estimate:
    """The mean of independent proportions; limits by squares (Zou and Donner, Stat Med 2008)."""
    triples = [(part.value, part.low, part.high) for part in parts]
    known = np.array([[np.nan if v is None else v for v in triple] for triple in triples])
    if np.isnan(known).any():
        return Estimate(reason=next(part.reason for part in parts if part.low is None))
    value, low, high = known.T
    down = float(np.linalg.norm(value - low)) / len(parts)
    up = float(np.linalg.norm(high - value)) / len(parts)
    mean = float(value.mean())
    return Estimate(mean, max(mean - down, 0.0), min(mean + up, 1.0))


def f1_of(jaccard: Estimate) -> Estimate:
    """F1 from Jaccard's index, the interval along with it."""

    def turned(value: float | None) -> float | None:
        return None if value is None else 2 * value / (1 + value)

    return Estimate(
        turned(jaccard.value), turned(jaccard.low), turned(jaccard.high), jaccard.reason
    )
