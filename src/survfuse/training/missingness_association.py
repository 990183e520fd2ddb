"""The association of missing modalities with the outcome: strata, rates, warnings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PRIOR_PATIENTS = 2.0  # the weight of a stratum's prior, that of a flat Beta(1, 1)
LARGEST_RATE = 0.95  # where more than this lack a modality, equalising leaves nothing of it
SMALLEST_STRATUM = 20  # patients; rates of fewer are mostly noise
LARGEST_DIFFERENCE = 0.05  # between strata, in the share who keep a modality
CONFIDENCE = 0.95  # of the AUROCs


@dataclass(frozen=True)
class OutcomeStrata:
    """Strata of the outcome of n patients, which a task declares.

    associated(available, fitted, modalities): by modality, whether having it is associated with the
    outcome, as JSON, from `available` (n, M) of the patients in `fitted` (n,) bool. tau_months: the
    median time of the events, infinite without any.
    """

    stratum: np.ndarray  # (n,) index into the names
    names: tuple[str, ...]  # in fit.json
    in_words: tuple[str, ...]  # after "patients"
    associated: Callable[[np.ndarray, np.ndarray, Sequence[str]], dict[str, dict[str, Any]]]
    tau_months: float = float("inf")


def lacking(
    available: np.ndarray, stratum: np.ndarray, strata: int
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


def mean_by_stratum(values: np.ndarray, stratum: np.ndarray, strata: int) -> np.ndarray:
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
