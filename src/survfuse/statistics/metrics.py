"""Discrimination and prediction error on one test fold.

Harrell's and Uno's C come from scikit-survival. The Brier score and the cumulative/dynamic AUC are
kept as terms per patient and per pair, because a bootstrap only reweighs those; the tests hold
them to scikit-survival's own values. Risks are higher for worse, times are months, and every
censoring distribution G is fitted on the training part of the fold, never on the test fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.core.errors import UserInputError
from survfuse.statistics.intervals import NotEstimableError

HARRELL = (
    "Harrell: an event also beats a censoring at the same time, tied risks count half; computed "
    "within folds, averaged by the number of comparable pairs"
)
UNO = (
    "Uno, weights 1/G(t)^2 as in scikit-survival (not G(t-)), G = Kaplan-Meier of censoring in the "
    "training part, events before tau; computed within folds, averaged by the number of comparable "
    "pairs"
)


class HorizonError(NotEstimableError):
    """A horizon or truncation time lies beyond follow-up, where nothing is known."""


class NoComparablePairsError(NotEstimableError):
    """No two patients can be put in order."""


@dataclass(frozen=True)
class Concordance:
    """A C-index and the number of comparable pairs behind it."""

    value: float
    pairs: int


def harrell_c(outcome: SurvivalOutcome, risk: np.ndarray) -> Concordance:
    """Harrell's C of the risks (n,): Harrell et al., JAMA 1982;247:2543.

    Raises NoComparablePairsError if nobody is known to outlive an event (also when all events
    share one time, where scikit-survival returns NaN), UserInputError for a risk that is missing or
    infinite.
    """
    from sksurv.metrics import concordance_index_censored

    pairs = comparable_pairs(outcome)
    risk = ranks(risk)
    value = concordance_index_censored(outcome.event, outcome.time, risk)[0]
    return Concordance(float(value), pairs)


def uno_c(
    train: SurvivalOutcome, test: SurvivalOutcome, risk: np.ndarray, tau_months: float
) -> Concordance:
    """Uno's C of the test risks, truncated at tau: Uno et al., Stat Med 2011;30:1105.

    Convention: see `UNO`. Raises HorizonError if nobody in training is followed up to tau,
    NoComparablePairsError if no pair has an event before tau, UserInputError for a risk that is
    missing or infinite.
    """
    from sksurv.metrics import concordance_index_ipcw

    risk = ranks(risk)
    require_follow_up(train, tau_months, "the training part")
    pairs = comparable_pairs(test, before_months=tau_months)
    value = concordance_index_ipcw(structured(train), structured(test), risk, tau=tau_months)[0]
    return Concordance(float(value), pairs)


def ranks(risk: np.ndarray) -> np.ndarray:
    """Dense ranks of the risks (n,), equal for risks that differ by rounding errors alone.

    scikit-survival treats risks closer than 1e-8 as tied, whatever their scale, so that a model
    with small numbers would seem to know nothing. Here the limit is 1e-12 standard deviations.
    Raises UserInputError for a risk that is missing or infinite.
    """
    risk = np.asarray(risk, dtype=float)
    if bad := np.flatnonzero(np.isnan(risk)).tolist():
        raise UserInputError(f"risk {bad[0]} is missing (NaN); predict every patient of the fold")
    if bad := np.flatnonzero(np.isinf(risk)).tolist():
        raise UserInputError(
            f"risk {bad[0]} is infinite ({risk[bad[0]]}); a risk is a finite number, so correct "
            "the model that predicted it"
        )
    spread = risk.std()
    standardised = (risk - risk.mean()) / (spread if spread > 0 else 1)
    return np.unique(standardised.round(12), return_inverse=True)[1].astype(float)


def comparable_pairs(outcome: SurvivalOutcome, before_months: float = np.inf) -> int:
    """Pairs in which one patient has an event before the other's follow-up ends.

    Only events before `before_months` count. Raises NoComparablePairsError if there is no pair.
    """
    time, event = outcome.time, outcome.event
    first = time[event & (time < before_months)]
    later = len(time) - np.searchsorted(np.sort(time), first, side="right")
    censored = np.sort(time[~event])
    tied = np.searchsorted(censored, first, "right") - np.searchsorted(censored, first, "left")
    pairs = int((later + tied).sum())
    if pairs == 0:
        limit = "" if np.isinf(before_months) else f" before {before_months:g} months"
        raise NoComparablePairsError(
            f"no comparable pairs: {len(first)} of {len(time)} patients have an event{limit}, and "
            "nobody is known to outlive one"
        )
    return pairs


def require_follow_up(outcome: SurvivalOutcome, months: float, whose: str) -> None:
    """Raise HorizonError unless somebody is followed up to `months` or longer.

    A horizon at which follow-up ends for everybody (administrative censoring) is supported: who is
    censored then is known to have been free of the event up to it.
    """
    at_risk = int((outcome.time >= months).sum())
    if at_risk == 0:
        raise HorizonError(
            f"{months:g} months lies beyond the follow-up of {whose}: {at_risk} of {len(outcome)} "
            "patients are at risk then; choose an earlier time"
        )


def event_free(outcome: SurvivalOutcome, months: float) -> np.ndarray:
    """Who is known to be free of the event at a time, (n,) bool: also who is censored just then."""
    return (outcome.time > months) | ((outcome.time == months) & ~outcome.event)


def structured(outcome: SurvivalOutcome) -> np.ndarray:
    """The outcome as scikit-survival wants it."""
    from sksurv.util import Surv

    return Surv.from_arrays(outcome.event, outcome.time)


def censoring_weights(train: SurvivalOutcome, test: SurvivalOutcome, months: float) -> np.ndarray:
    """Inverse probability of censoring weights of the test patients at a horizon, (n,).

    1/G(T) for events up to the horizon, 1/G(horizon) for patients followed beyond it, 0 for
    patients censored before: the weights of scikit-survival. Where follow-up ends at the horizon
    (see `ends_at`), it would discard all who reach it, or weigh the few who are followed on by
    their number. There it is 1/G(horizon-), the probability of being followed up to the horizon,
    for all who reach it, those who are censored just then included. Raises HorizonError if nobody
    in training is followed that long.
    """
    from sksurv.nonparametric import CensoringDistributionEstimator

    require_follow_up(train, months, "the training part")
    censoring = CensoringDistributionEstimator().fit(structured(train))
    if ends_at(train, months):
        known, last = test.event | (test.time >= months), np.nextafter(months, -np.inf)
    else:
        known, last = test.event | (test.time > months), months
    return known / censoring.predict_proba(np.minimum(test.time, last))


def ends_at(outcome: SurvivalOutcome, months: float) -> bool:
    """Whether follow-up ends at a time (administrative censoring).

    That is, at least as many are censored on that very day as are followed beyond it.
    """
    censored = int(((outcome.time == months) & ~outcome.event).sum())
    return censored >= int((outcome.time > months).sum())


def brier_terms(
    test: SurvivalOutcome, survival: np.ndarray, weights: np.ndarray, months: float
) -> np.ndarray:
    """Each test patient's share of the Brier score at a horizon; the score is their mean.

    `survival` holds S(horizon | x) and `weights` comes from `censoring_weights`, both (n,) or
    (repeats, n). Graf et al., Stat Med 1999;18:2529.
    """
    return weights * (event_free(test, months) - survival) ** 2


def integrate(terms: np.ndarray, times_months: Sequence[float]) -> np.ndarray:
    """Trapezoid mean over k times of Brier terms (..., k): terms of the integrated Brier score.

    The value depends on the grid, so the grid must be given, with at least two times. Raises
    NotEstimableError otherwise.
    """
    if len(times_months) < 2:
        raise NotEstimableError(
            "the integrated Brier score needs at least two times before tau; add earlier times"
        )
    return np.trapezoid(terms, times_months, axis=-1) / (times_months[-1] - times_months[0])


@dataclass(frozen=True)
class CaseControlPairs:
    """Who is compared with whom for the AUC at one horizon, within one fold.

    `cases` (m,) had the event by then, `controls` (l,) were still free of it: indices into the
    fold. `weight` (m,) corrects the cases for censoring; `wins` (m, l) is 1 where the case has the
    higher risk, 0.5 for a tie.
    """

    cases: np.ndarray
    controls: np.ndarray
    weight: np.ndarray
    wins: np.ndarray

    def sums(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted wins and weighted pairs, (B,) each, with patient multiplicities (B, n)."""
        cases = counts[:, self.cases] * self.weight
        controls = counts[:, self.controls]
        return ((cases @ self.wins) * controls).sum(axis=1), cases.sum(axis=1) * controls.sum(1)


def case_control_pairs(
    test: SurvivalOutcome, risk: np.ndarray, weight: np.ndarray, months: float
) -> CaseControlPairs:
    """The pairs of the cumulative/dynamic AUC at a horizon; AUC = wins / pairs of `sums`.

    `weight` (n,) is the column of `censoring_weights` at that horizon. Uno et al., JASA
    2007;102:527.
    """
    risk = ranks(risk)
    cases = np.flatnonzero(test.event & (test.time <= months))
    controls = np.flatnonzero(event_free(test, months) & (weight > 0))
    ahead = risk[cases][:, None] - risk[controls][None, :]
    return CaseControlPairs(cases, controls, weight[cases], 0.5 * (1 + np.sign(ahead)))
