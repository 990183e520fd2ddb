"""What training makes of absent modalities: hiding present ones, at random, anew in every epoch.

Where patients lack a modality for reasons tied to their outcome, a network learns who was sampled
instead of what was found, and fails where other patients are sampled. The policy `equalise` hides
the modality from more of the other patients until its absence says nothing about the outcome. No
outcome is needed, and nothing is hidden, in prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.classes import UNKNOWN
from survfuse.evaluation.availability import association as of_having
from survfuse.evaluation.availability import associations
from survfuse.evaluation.study import Outcome

POLICIES = ("equalise", "ignore", "use")
STRATA: tuple[str, ...] = ("event before tau", "followed to tau", "censored before tau")
PRIOR_PATIENTS = 2.0  # the weight of a stratum's prior, that of a flat Beta(1, 1)
LARGEST_RATE = 0.95  # where more than this lack a modality, equalising leaves nothing of it
SMALLEST_STRATUM = 20  # patients; rates of fewer are mostly noise
LARGEST_DIFFERENCE = 0.05  # between strata, in the share that is shown a modality
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Hiding:
    """How modalities are hidden from the n patients of a training part.

    The rows of `rates` and `shown` are the `strata`, over the patients that are fitted on; their
    columns, as all others, are the modalities.
    """

    policy: str
    modalities: tuple[str, ...]
    available: np.ndarray  # (n, M) bool
    probability: np.ndarray  # (n, M) of being hidden to equalise; 0 with the other policies
    dropout: float  # rate of the modality dropout that follows
    tau_months: float  # median event time; infinite where nobody had the event
    rates: np.ndarray  # (S, M) share of the patients who lack it
    worst: np.ndarray  # (M,) largest of the rates
    shown: np.ndarray  # (S, M) expected share that is shown it, before dropout; NaN = no patient
    association: dict[str, dict[str, Any]]  # as from `association`, of the patients fitted on
    warnings: tuple[str, ...] = ()
    strata: tuple[str, ...] = STRATA

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """What one epoch hides, (n, M) bool: only what a patient has, and never all of it.

        Equalising comes first, then dropout among what is left. Dropout sees no outcome, so it
        cannot undo what equalising achieved. The draw of a patient does not depend on batches,
        and uses up the same random numbers whatever the policy.
        """
        equalised = hide(self.available, self.probability, rng)
        left = self.available & ~equalised
        return equalised | hide(left, np.full(left.shape, self.dropout), rng)

    def to_json(self) -> dict[str, Any]:
        """The settings and rates by name, without the patients."""
        return {
            "policy": self.policy,
            "dropout": self.dropout,
            "tau_months": self.tau_months if np.isfinite(self.tau_months) else None,
            "lacking": named(self.rates, self.modalities, self.strata),
            "shown": named(self.shown, self.modalities, self.strata),
            "association": self.association,
            "warnings": list(self.warnings),
        }


def fit_hiding(
    policy: str,
    dropout: float,
    available: np.ndarray,
    time_months: np.ndarray,
    event: np.ndarray,
    fitted: np.ndarray,
    modalities: Sequence[str],
    label: np.ndarray | None = None,
) -> Hiding:
    """Fit a policy to the patients marked in `fitted` (n,) of those with `available` (n, M).

    use: nothing is hidden. ignore: every modality is hidden at the rate `dropout`. equalise: in
    addition, a patient of stratum s loses modality m with the probability
    1 - (1 - r*[m]) / (1 - r[s, m]), where r is the rate at which s lacks m, and r* its largest
    over s. Whoever has m is then shown it at the rate 1 - r* in every stratum. With `label` (n,)
    the strata are its classes instead of those of STRATA.

    This is exact while every patient has a modality that no stratum lacks. Otherwise some would
    lose everything and are left one (see `hide`); the remaining difference between the strata is
    in `shown` and, above 5 points, in the warnings. Raises ValueError for an unknown policy, a
    rate that is none, arrays of different length, or nobody to fit on.
    """
    if policy not in POLICIES:
        raise ValueError(f"no policy {policy!r} for missing modalities; use {', '.join(POLICIES)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"the modality dropout {dropout} is not a rate below 1")
    lengths = {len(values) for values in (available, time_months, event, fitted)}
    if len(lengths) > 1 or available.shape[1] != len(modalities):
        raise ValueError(f"availability {available.shape} does not fit patients and modalities")
    if not np.any(fitted):
        raise ValueError("there is no patient to fit the hiding of modalities on")
    available, fitted = available.astype(bool), fitted.astype(bool)
    event = event.astype(bool)
    tau = median_event_time(time_months[fitted], event[fitted])
    stratum, names, who = strata(time_months, event, tau), STRATA, of_follow_up(tau)
    if label is not None:
        stratum, names, who = class_strata(label)
    rates, size = lacking(available[fitted], stratum[fitted], len(names))
    worst = rates.max(axis=0)
    probability = np.zeros(available.shape)
    if policy == "equalise":
        kept = np.divide(1 - worst, 1 - rates, out=np.ones_like(rates), where=rates < 1)
        probability = np.where(available, 1 - kept[stratum], 0)
    shown = mean_by_stratum(
        chance_of_showing(available, probability)[fitted], stratum[fitted], len(names)
    )
    return Hiding(
        policy,
        tuple(modalities),
        available,
        probability,
        0.0 if policy == "use" else dropout,
        tau,
        rates,
        worst,
        shown,
        association(available[fitted], time_months[fitted], event[fitted], modalities)
        if label is None
        else class_association(available[fitted], label[fitted], modalities),
        tuple(warn(modalities, np.asarray(available.any(axis=0)), who, rates, size, shown))
        if policy == "equalise"
        else (),
        names,
    )


def association(
    available: np.ndarray, time_months: np.ndarray, event: np.ndarray, modalities: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """AUROC of having each modality for an event before tau, with its interval, by modality.

    See `survfuse.evaluation.availability`. `available` (n, M), times and events (n,). The value
    and its limits are None, with a reason, where all or none have the modality or nobody had the
    event.
    """
    if not np.any(event):
        unknown = {"auroc": None, "low": None, "high": None, "reason": "nobody had the event"}
        return {modality: dict(unknown) for modality in modalities}
    present = {modality: available[:, column] for column, modality in enumerate(modalities)}
    found = associations(present, Outcome(time_months, event), CONFIDENCE)
    return {one.pop("modality"): one for one in found}


def median_event_time(time_months: np.ndarray, event: np.ndarray) -> float:
    """tau: the median time of the events, infinite if there is none."""
    return float(np.median(time_months[event])) if event.any() else float("inf")


def strata(time_months: np.ndarray, event: np.ndarray, tau_months: float) -> np.ndarray:
    """Index (n,) into STRATA. Of those censored before tau the outcome at tau is unknown."""
    return np.where(time_months >= tau_months, 1, np.where(event, 0, 2))


def of_follow_up(tau_months: float) -> tuple[str, ...]:
    """Whom the strata of STRATA hold, in words."""
    return (
        f"with an event before {tau_months:.1f} months",
        f"followed to {tau_months:.1f} months",
        f"censored before {tau_months:.1f} months",
    )


def class_strata(label: np.ndarray) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Strata (n,) of patients by class, the unknown last; their names, and whom they hold."""
    classes = int(label.max()) + 1
    names = tuple(f"class {number}" for number in range(classes))
    return (
        np.where(label == UNKNOWN, classes, label),
        (*names, "class unknown"),
        (*(f"of {name}" for name in names), "of unknown class"),
    )


def class_association(
    available: np.ndarray, label: np.ndarray, modalities: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """AUROC of having each modality for being of another class than the first, by modality."""
    known = label != UNKNOWN
    return {
        modality: of_having(available[known, column], label[known] > 0, CONFIDENCE).as_json()
        for column, modality in enumerate(modalities)
    }


def lacking(
    available: np.ndarray, stratum: np.ndarray, strata: int = len(STRATA)
) -> tuple[np.ndarray, np.ndarray]:
    """Rate (S, M) at which each stratum lacks each modality, and the size (S,) of the strata.

    A Beta prior with the weight of two patients draws small strata towards the rate of all. A
    flat one would draw them towards a half, and have a modality hidden that nobody lacks.
    """
    member = np.eye(strata)[:, stratum]  # (S, n)
    size = member.sum(axis=1)
    overall = (~available).mean(axis=0)
    missing = member @ ~available
    rates = (missing + PRIOR_PATIENTS * overall) / (size[:, None] + PRIOR_PATIENTS)
    return rates, size.astype(int)


def hide(available: np.ndarray, probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hide each available modality with its own probability; (n, M) bool.

    A patient who would lose all keeps one, chosen as if exactly one had been left: by the odds of
    being shown, (1 - p) / p. A patient with a single modality therefore never loses it.
    """
    hidden = available & (rng.random(available.shape) < probability)
    race = rng.standard_exponential(available.shape) / odds_of_showing(available, probability)
    loses_all = (hidden == available).all(axis=1) & available.any(axis=1)
    hidden[loses_all, race[loses_all].argmin(axis=1)] = False
    return hidden


def odds_of_showing(available: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """(1 - p) / p where available; next to nothing where not."""
    odds = (1 - probability) / np.maximum(probability, 1e-12)
    return np.where(available, odds, 1e-300)


def chance_of_showing(available: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Probability (n, M) that `hide` leaves each modality."""
    loses_all = np.where(available, probability, 1).prod(axis=1, keepdims=True)
    odds = odds_of_showing(available, probability)
    spared = loses_all * odds / odds.sum(axis=1, keepdims=True)
    return np.where(available, 1 - probability + spared, 0)


def mean_by_stratum(
    values: np.ndarray, stratum: np.ndarray, strata: int = len(STRATA)
) -> np.ndarray:
    """Mean (S, M) of the values (n, M) over each stratum; NaN where it is empty."""
    means = np.full((strata, values.shape[1]), np.nan)
    for number in np.unique(stratum):
        means[number] = values[stratum == number].mean(axis=0)
    return means


def warn(
    modalities: Sequence[str],
    known: np.ndarray,
    who: Sequence[str],
    rates: np.ndarray,
    size: np.ndarray,
    shown: np.ndarray,
) -> list[str]:
    """Sentences about modalities that cannot be equalised, or only at a price.

    `known` (M,) says whether anybody has them; `who` (S,) whom the strata hold.
    """
    sentences = []
    for column, modality in enumerate(modalities):
        first = int(rates[:, column].argmax())
        worst = rates[first, column]
        if not known[column]:  # nobody has it, which is said elsewhere
            continue
        if worst > LARGEST_RATE:
            sentences.append(
                f"this fold cannot support {modality}: of the training patients {who[first]}, "
                f"{worst:.0%} lack it, and equalise hides it from as many of the others; set "
                f"training.missingness to ignore, or use models that do not read {modality}"
            )
        elif size[first] < SMALLEST_STRATUM and worst - rates[:, column].min() > LARGEST_DIFFERENCE:
            sentences.append(
                f"{modality} is hidden from {worst:.0%} of the training patients because those "
                f"{who[first]} lack it so often, who are fewer than {SMALLEST_STRATUM}"
            )
        large = shown[size >= SMALLEST_STRATUM, column]
        if len(large) and np.ptp(large) > LARGEST_DIFFERENCE:
            sentences.append(
                f"having {modality} still tells the outcome: it is shown to {large.min():.0%} to "
                f"{large.max():.0%} of the training patients, depending on their outcome, because "
                "no patient loses the only modality there is"
            )
    return sentences


def named(
    rates: np.ndarray, modalities: Sequence[str], strata: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Rates (S, M) by modality and stratum; None where there is no patient."""
    return {
        modality: {
            stratum: float(rate) if np.isfinite(rate) else None
            for stratum, rate in zip(strata, rates[:, column], strict=True)
        }
        for column, modality in enumerate(modalities)
    }
