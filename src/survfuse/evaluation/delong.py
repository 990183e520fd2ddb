"""AUROC with DeLong's variance by sorting: single, paired, within folds, and for repeated visits.

Everything is built on one number per row, its influence on the AUROC, scaled so that the sum of
squares of influences is DeLong's variance and the sum of products of two scores' influences their
covariance (DeLong et al., Biometrics 1988;44:837; counted in sorted scores, as Sun and Xu, IEEE
Signal Process Lett 2014;21:1389, which costs n log n and no matrix of pairs). Rows of one patient
are summed before squaring, which gives Obuchowski's variance for clustered data (Biometrics
1997;53:567).

The interval is DeLong's plain one, as other tools print it. It is a little too narrow: in
simulations at an AUROC of 0.76 its 95 % held the truth for 93.4 % of cohorts of 60 patients, 93.7 %
of 120 and 94.1 % of 300.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from survfuse.evaluation.intervals import Estimate, NotEstimableError


@dataclass(frozen=True)
class Influence:
    """A statistic and the influence of every patient on it, (patients,)."""

    value: float
    influence: np.ndarray

    def variance(self) -> float:
        return float(self.influence @ self.influence)


@dataclass(frozen=True)
class Difference:
    """A paired difference with its interval, and the two-sided p-value of no difference."""

    estimate: Estimate
    p_value: float | None


def placements(score: np.ndarray, case: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the controls below each case, and of the cases above each control; ties are half.

    `score` (n,) and `case` (n,) bool. The mean of either is the AUROC.
    """
    cases, controls = score[case], score[~case]
    return standing(cases, controls) / len(controls), 1 - standing(controls, cases) / len(cases)


def standing(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How many of the others lie below each value; ties count half."""
    ordered = np.sort(others)
    below, not_above = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (below + not_above) / 2


def auroc_influence(
    score: np.ndarray,
    case: np.ndarray,
    patient: np.ndarray | None = None,
    fold: np.ndarray | None = None,
) -> Influence:
    """AUROC of `score` (n,) for `case` (n,) and the influence of every patient.

    `patient` (n,) says which rows are of one patient, in any coding; without it every row is a
    patient of its own. With `fold` (n,), only rows of one fold are compared, and folds count by
    their number of pairs. A fold without two patients of each outcome is left out; raises
    NotEstimableError where no fold is left, or a score is missing.
    """
    case = np.asarray(case, dtype=bool)
    score = np.asarray(score, dtype=float)
    if not np.isfinite(score).all():
        row = int(np.flatnonzero(~np.isfinite(score))[0])
        raise NotEstimableError(f"row {row} has no score; predict every row that is evaluated")
    rows = np.arange(len(case)) if patient is None else np.unique(patient, return_inverse=True)[1]
    parts = [np.arange(len(case))] if fold is None else members_of(fold)
    parts = [part for part in parts if min(patients_of_each(case[part], rows[part])) > 1]
    if not parts:
        with_it, without = patients_of_each(case, rows)
        where = "" if fold is None else " in one fold"
        raise NotEstimableError(
            f"there are {with_it} patients with and {without} without the outcome to compare; two "
            f"of each{where} are needed"
        )
    pairs = np.array([case[part].sum() * (~case[part]).sum() for part in parts], dtype=float)
    value, influence = 0.0, np.zeros(rows.max() + 1)
    for part, weight in zip(parts, pairs / pairs.sum(), strict=True):
        one, own = of_fold(score[part], case[part], rows[part])
        value += weight * one
        np.add.at(influence, rows[part], weight * own)
    return Influence(value, influence)


def of_fold(score: np.ndarray, case: np.ndarray, patient: np.ndarray) -> tuple[float, np.ndarray]:
    """AUROC and the influence of every row, (n,), where all rows are compared."""
    with_it, without = patients_of_each(case, patient)
    below, above = placements(score, case)
    value = float(below.mean())
    influence = np.empty(len(case))
    # n / (n - 1) makes the sum of squares the unbiased variance, as DeLong's is.
    influence[case] = (below - value) / len(below) * np.sqrt(with_it / (with_it - 1))
    influence[~case] = (above - value) / len(above) * np.sqrt(without / (without - 1))
    return value, influence


def patients_of_each(case: np.ndarray, patient: np.ndarray) -> tuple[int, int]:
    """How many patients have rows with the outcome, and how many have rows without it."""
    return len(np.unique(patient[case])), len(np.unique(patient[~case]))


def members_of(group: np.ndarray) -> list[np.ndarray]:
    """Row numbers of every group."""
    code = np.unique(group, return_inverse=True)[1]
    return [np.flatnonzero(code == number) for number in np.unique(code)]


def interval(found: Influence, confidence: float, bounds: tuple[float, float] = (0, 1)) -> Estimate:
    """The statistic with its normal interval, clipped to `bounds`; none where nothing varies."""
    variance = found.variance()
    if variance <= 1e-30:
        apart = found.value in (0.0, 1.0)
        why = "separates all cases from controls" if apart else "is the same for all patients"
        return Estimate(found.value, reason=f"the score {why}")
    margin = NormalDist().inv_cdf(0.5 + confidence / 2) * variance**0.5
    low, high = np.clip([found.value - margin, found.value + margin], *bounds)
    return Estimate(found.value, float(low), float(high))


def delong(
    score: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    fold: np.ndarray | None = None,
) -> Estimate:
    """AUROC with DeLong's interval; see `auroc_influence`. A reason takes the place of an error."""
    try:
        return interval(auroc_influence(score, case, patient, fold), confidence)
    except NotEstimableError as error:
        return Estimate(reason=str(error))


def paired_delong(first: Influence, second: Influence, confidence: float) -> Difference:
    """The difference of two AUROCs on the same patients, with DeLong's paired test."""
    apart = first.influence - second.influence
    return tested(Influence(first.value - second.value, apart), confidence)


def unpaired_delong(first: Influence, second: Influence, confidence: float) -> Difference:
    """The difference of two AUROCs on different patients."""
    apart = np.concatenate([first.influence, -second.influence])
    return tested(Influence(first.value - second.value, apart), confidence)


def tested(found: Influence, confidence: float) -> Difference:
    """A difference with interval and p-value; neither where the two are the same everywhere."""
    variance = found.variance()
    if variance <= 1e-30:
        reason = "the two scores put all patients in the same order"
        return Difference(Estimate(found.value, reason=reason), None)
    z = abs(found.value) / variance**0.5
    return Difference(interval(found, confidence, (-1, 1)), 2 * NormalDist().cdf(-z))


def macro_auroc(
    probability: np.ndarray,
    label: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    fold: np.ndarray | None = None,
) -> tuple[Estimate, list[Estimate]]:
    """Mean over K classes of the AUROC of a class against all others, and each class's own."""
    try:
        mean, ours = macro_influence(probability, label, patient, fold)
    except NotEstimableError as error:
        reason = Estimate(reason=str(error))
        return reason, [reason] * probability.shape[1]
    return interval(mean, confidence), [interval(one, confidence) for one in ours]


def macro_influence(
    probability: np.ndarray,
    label: np.ndarray,
    patient: np.ndarray | None = None,
    fold: np.ndarray | None = None,
) -> tuple[Influence, list[Influence]]:
    """The mean AUROC over classes and each class's own, with the influence of every patient.

    `probability` (n, K), `label` (n,) in 0..K-1. The classes share patients, so their AUROCs vary
    together; the influences add up to that. Hand and Till's M averages over pairs of classes
    instead and is another number. Raises NotEstimableError naming the class.
    """
    ours = []
    for number in range(probability.shape[1]):
        try:
            ours.append(auroc_influence(probability[:, number], label == number, patient, fold))
        except NotEstimableError as error:
            raise NotEstimableError(f"class {number}: {error}") from None
    mean = Influence(
        float(np.mean([one.value for one in ours])),
        np.mean([one.influence for one in ours], axis=0),
    )
    return mean, ours
