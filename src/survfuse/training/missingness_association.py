"""The association of missing modalities with the outcome: strata, rates, AUROCs, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.availability import association as of_having
from survfuse.statistics.availability import associations
from survfuse.tasks.diagnosis.classes import UNKNOWN

STRATA: tuple[str, ...] = ("event before tau", "followed to tau", "censored before tau")
PRIOR_PATIENTS = 2.0  # the weight of a stratum's prior, that of a flat Beta(1, 1)
LARGEST_RATE = 0.95  # where more than this lack a modality, equalising leaves nothing of it
SMALLEST_STRATUM = 20  # patients; rates of fewer are mostly noise
LARGEST_DIFFERENCE = 0.05  # between strata, in the share who keep a modality
CONFIDENCE = 0.95


def association(
    available: np.ndarray, time_months: np.ndarray, event: np.ndarray, modalities: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """AUROC of having each modality for an event before tau, with its interval, by modality.

    See `survfuse.statistics.availability`. `available` (n, M), times and events (n,). The value
    and its limits are None, with a reason, where all or none have the modality or nobody had the
    event.
    """
    if not np.any(event):
        unknown = {"auroc": None, "low": None, "high": None, "reason": "nobody had the event"}
        return {modality: dict(unknown) for modality in modalities}
    present = {modality: available[:, column] for column, modality in enumerate(modalities)}
    found = associations(present, SurvivalOutcome(time_months, event), CONFIDENCE)
    return {one.pop("modality"): one for one in found}


def median_event_time(time_months: np.ndarray, event: np.ndarray) -> float:
    """tau: the median time of the events, infinite if there is none."""
    return float(np.median(time_months[event])) if event.any() else float("inf")


def strata(time_months: np.ndarray, event: np.ndarray, tau_months: float) -> np.ndarray:
    """Index (n,) into STRATA. Of those censored before tau the outcome at tau is unknown."""
    return np.where(time_months >= tau_months, 1, np.where(event, 0, 2))


def of_follow_up(tau_months: float) -> tuple[str, ...]:
    """The strata of STRATA in words."""
    return (
        f"with an event before {tau_months:.1f} months",
        f"followed to {tau_months:.1f} months",
        f"censored before {tau_months:.1f} months",
    )


def class_strata(
    label: np.ndarray, classes: Sequence[str] = ()
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Strata (n,) of patients by class, the unknown last; their names, and the same in words.

    `classes`: the names of the classes in sentences, by their numbers where it is empty.
    """
    number = int(label.max()) + 1
    names = tuple(f"class {one}" for one in range(number))
    called = classes[:number] or range(number)
    return (
        np.where(label == UNKNOWN, number, label),
        (*names, "class unknown"),
        (*(f"of class {one}" for one in called), "of unknown class"),
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
    flat one would draw them towards a half, and have a modality masked that nobody lacks.
    """
    member = np.eye(strata)[:, stratum]  # (S, n)
    size = member.sum(axis=1)
    overall = (~available).mean(axis=0)
    missing = member @ ~available
    rates = (missing + PRIOR_PATIENTS * overall) / (size[:, None] + PRIOR_PATIENTS)
    return rates, size.astype(int)


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
    strata_in_words: Sequence[str],
    rates: np.ndarray,
    size: np.ndarray,
    kept: np.ndarray,
) -> list[str]:
    """Sentences about modalities that cannot be equalised, or only at a price.

    `known` (M,): whether anybody has them.
    """
    sentences = []
    for column, modality in enumerate(modalities):
        first = int(rates[:, column].argmax())
        worst = rates[first, column]
        if not known[column]:  # nobody has it, which is said elsewhere
            continue
        if worst > LARGEST_RATE:
            sentences.append(
                f"this fold cannot support {modality}: almost none of the training patients "
                f"{strata_in_words[first]} have it, and equalise masks it in as many of the others "
                "as lack it there, so that next to nothing is learned of it; set "
                f"training.missingness to ignore, or use models that do not read {modality}"
            )
        elif size[first] < SMALLEST_STRATUM and worst - rates[:, column].min() > LARGEST_DIFFERENCE:
            sentences.append(
                f"{worst:.0%} of the training patients are left without {modality} because those "
                f"{strata_in_words[first]} have it so seldom, who are fewer than {SMALLEST_STRATUM}"
            )
        large = kept[size >= SMALLEST_STRATUM, column]
        if len(large) and np.ptp(large) > LARGEST_DIFFERENCE:
            sentences.append(
                f"having {modality} remains associated with the outcome: {large.min():.0%} to "
                f"{large.max():.0%} of the training patients keep it, depending on their outcome, "
                "because no patient loses the only modality there is"
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
