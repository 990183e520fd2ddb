"""AUROC with DeLong's variance by sorting: single, paired, within folds, and for repeated visits.

Everything is built on one number per row, its influence on the AUROC, scaled so that the sum of
squares of influences is DeLong's variance and the sum of products of two scores' influences their
covariance (DeLong et al., Biometrics 1988;44:837; counted in sorted scores, as Sun and Xu, IEEE
Signal Process Lett 2014;21:1389, which costs n log n and no matrix of pairs). Rows of one patient
are summed before squaring, which gives Obuchowski's variance for clustered data (Biometrics
1997;53:567). A patient may have a weight, 1 / the probability of being among those whose class is
known; a pair then counts by the product of its weights, which are taken as known.

DeLong's interval is right for a fixed score. Of models that were trained on the patients whom other
folds test it holds the truth too rarely, because it does not include the variation of training:
`refitting_interval` widens it, see there.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

from survfuse.statistics.intervals import Estimate, NotEstimableError

REFITTED = "DeLong within folds, variance widened for refitting"
# By how much the variance over cohorts and trainings exceeds DeLong's, which takes models as fixed
# (benchmarks/coverage_clinic.py). For the difference of two models that are equally good it is up
# to twice as large or a little more: every chance agreement of two folds counts once for the model
# of the one and once for that of the other. For the AUROC of a model that has something to learn
# it is 1.2 to 2 times as large, the less the more there is to learn and the more patients.
DIFFERENCE_INFLATION = 2.25


def auroc_inflation(rarer: int) -> float:
    """The same for an AUROC: the fewer patients of the rarer outcome, the more training varies."""
    return 1.5 + 15 / rarer


@dataclass(frozen=True)
class Influence:
    """A statistic and the influence of every patient on it, (patients,).

    `rarer`: how many patients the rarer outcome has, on whom the variance mostly rests.
    """

    value: float
    influence: np.ndarray
    rarer: int

    def variance(self) -> float:
        return float(self.influence @ self.influence)

    def minus(self, other: Influence) -> Influence:
        """The difference of two statistics of the same patients."""
        apart = self.influence - other.influence
        return Influence(self.value - other.value, apart, min(self.rarer, other.rarer))

    def minus_of_others(self, other: Influence) -> Influence:
        """The difference of two statistics of different patients."""
        apart = np.concatenate([self.influence, -other.influence])
        return Influence(self.value - other.value, apart, min(self.rarer, other.rarer))


def placements(
    score: np.ndarray, case: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Share of the controls below each case, and of the cases above each control; ties are half.

    `score`, `case` bool and `weight` are (n,). The weighted mean of either is the AUROC.
    """
    weight = np.ones(len(case)) if weight is None else weight
    cases, controls = score[case], score[~case]
    below = weight_below(cases, controls, weight[~case]) / weight[~case].sum()
    return below, 1 - weight_below(controls, cases, weight[case]) / weight[case].sum()


def weight_below(values: np.ndarray, others: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weight of the others below each value; ties count half."""
    order = np.argsort(others)
    sums = np.r_[0.0, np.cumsum(weight[order])]
    below, not_above = (
        sums[np.searchsorted(others[order], values, side)] for side in ("left", "right")
    )
    return (below + not_above) / 2


def auroc_influence(
    score: np.ndarray,
    case: np.ndarray,
    patient: np.ndarray | None = None,
    fold: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Influence:
    """AUROC of `score` (n,) for `case` (n,) and the influence of every patient.

    `patient` (n,) says which rows are of one patient, in any coding; without it every row is a
    patient of its own. With `fold` (n,), only rows of one fold are compared, and folds count by
    their number of pairs. `weight` (n,) is what every row counts, 1 without it. A fold without two
    patients of each outcome is left out; raises NotEstimableError where no fold is left, or a score
    is missing.
    """
    case = np.asarray(case, dtype=bool)
    score = np.asarray(score, dtype=float)
    weight = np.ones(len(case)) if weight is None else weight
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
    pairs = np.array([weight[p][case[p]].sum() * weight[p][~case[p]].sum() for p in parts])
    value, influence = 0.0, np.zeros(rows.max() + 1)
    for part, share in zip(parts, pairs / pairs.sum(), strict=True):
        one, own = of_fold(score[part], case[part], rows[part], weight[part])
        value += share * one
        np.add.at(influence, rows[part], share * own)
    used = np.concatenate(parts)
    return Influence(value, influence, min(patients_of_each(case[used], rows[used])))


def of_fold(
    score: np.ndarray, case: np.ndarray, patient: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """AUROC and the influence of every row, (n,), where all rows are compared."""
    with_it, without = patients_of_each(case, patient)
    below, above = placements(score, case, weight)
    ours, theirs = weight[case], weight[~case]
    value = min(float((ours * below).sum() / ours.sum()), 1.0)
    influence = np.empty(len(case))
    # n / (n - 1) makes the sum of squares the unbiased variance, as DeLong's is.
    influence[case] = ours * (below - value) / ours.sum() * np.sqrt(with_it / (with_it - 1))
    influence[~case] = theirs * (above - value) / theirs.sum() * np.sqrt(without / (without - 1))
    return value, influence


def patients_of_each(case: np.ndarray, patient: np.ndarray) -> tuple[int, int]:
    """How many patients have rows with the outcome, and how many have rows without it."""
    return len(np.unique(patient[case])), len(np.unique(patient[~case]))


def members_of(group: np.ndarray) -> list[np.ndarray]:
    """Row numbers of every group."""
    code = np.unique(group, return_inverse=True)[1]
    return [np.flatnonzero(code == number) for number in np.unique(code)]


def interval(found: Influence, confidence: float) -> Estimate:
    """The AUROC of a fixed score with DeLong's interval; see `within_limits`."""
    return within_limits(
        found, NormalDist().inv_cdf(0.5 + confidence / 2) * found.variance() ** 0.5
    )


def refitting_interval(found: Influence, confidence: float) -> Estimate:
    """The AUROC of models trained in a cross-validation, with an interval that covers refitting.

    It is meant to hold the mean AUROC, among new patients, of models trained on other cohorts of
    this size. See `margin_of` and `within_limits`.
    """
    return within_limits(found, margin_of(found, confidence, auroc_inflation(found.rarer)))


def refitting_interval_of_difference(found: Influence, confidence: float) -> Estimate:
    """A difference of AUROCs of trained models, from `minus`; its interval covers refitting.

    There is no interval where the two are the same everywhere.
    """
    if found.variance() <= 1e-30:
        return Estimate(found.value, reason="the two scores put all patients in the same order")
    margin = margin_of(found, confidence, DIFFERENCE_INFLATION)
    low, high = np.clip([found.value - margin, found.value + margin], -1, 1)
    return Estimate(found.value, float(low), float(high))


def margin_of(found: Influence, confidence: float, inflation: float) -> float:
    """Half the width of an interval from DeLong's variance, which is multiplied by `inflation`.

    Student's t with the degrees of freedom of the rarer outcome.
    """
    t = float(stdtrit(max(found.rarer - 1, 1), 0.5 + confidence / 2))
    return t * (inflation * found.variance()) ** 0.5


def within_limits(found: Influence, margin: float) -> Estimate:
    """The AUROC with limits within 0 to 1; none where nothing varies."""
    if found.variance() <= 1e-30:
        apart = found.value in (0.0, 1.0)
        why = "separates all cases from controls" if apart else "is the same for all patients"
        return Estimate(found.value, reason=f"the score {why}")
    low, high = np.clip([found.value - margin, found.value + margin], 0, 1)
    return Estimate(found.value, float(low), float(high))


def delong(
    score: np.ndarray,
    case: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    fold: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Estimate:
    """AUROC of a fixed score with DeLong's interval; see `auroc_influence`.

    A reason takes the place of an error.
    """
    try:
        return interval(auroc_influence(score, case, patient, fold, weight), confidence)
    except NotEstimableError as error:
        return Estimate(reason=str(error))


def macro_auroc(
    probability: np.ndarray,
    label: np.ndarray,
    confidence: float,
    patient: np.ndarray | None = None,
    fold: np.ndarray | None = None,
) -> tuple[Estimate, list[Estimate]]:
    """Mean over K classes of the AUROC of a class against all others, and each class's own.

    Of trained models: with intervals as `refitting_interval`.
    """
    try:
        mean, ours = macro_influence(probability, label, patient, fold)
    except NotEstimableError as error:
        reason = Estimate(reason=str(error))
        return reason, [reason] * probability.shape[1]
    return refitting_interval(mean, confidence), [
        refitting_interval(one, confidence) for one in ours
    ]


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
        min(one.rarer for one in ours),
    )
    return mean, ours
