"""How training treats absent modalities: it masks present ones, at random, anew in every epoch.

Where a modality is missing for reasons related to the outcome, a network learns who was sampled
instead of what was found, and fails where other patients are sampled. The policy `equalise` masks
the modality in more of the other patients until its absence is not associated with the outcome. No
outcome is needed, and nothing is masked, in prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.training.missingness_association import (
    OutcomeStrata,
    lacking,
    mean_by_stratum,
    named,
    warn,
)

POLICIES = ("equalise", "ignore", "use")


@dataclass(frozen=True)
class ModalityMasking:
    """How modalities are masked in the n patients of a training part.

    The rows of `rates` and `kept` are the `strata`, over the patients that are fitted on; their
    columns, as all others, are the modalities.
    """

    policy: str
    modalities: tuple[str, ...]
    available: np.ndarray  # (n, M) bool
    probability: np.ndarray  # (n, M) of being masked to equalise; 0 with the other policies
    dropout: float  # rate of the modality dropout that follows
    tau_months: float  # median event time; infinite without events
    rates: np.ndarray  # (S, M) share of the patients who lack it
    worst: np.ndarray  # (M,) largest of the rates
    kept: np.ndarray  # (S, M) expected share who keep it, before dropout; NaN = no patient
    association: dict[str, dict[str, Any]]  # as from `association`, of the patients fitted on
    strata: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """What one epoch masks, (n, M) bool: only what a patient has, and never all of it.

        Equalising comes first, then dropout among what is left. Dropout does not depend on the
        outcome, so it cannot undo what equalising achieved. The draw of a patient does not depend
        on batches, and uses up the same random numbers whatever the policy.
        """
        equalised = mask_modalities(self.available, self.probability, rng)
        left = self.available & ~equalised
        return equalised | mask_modalities(left, np.full(left.shape, self.dropout), rng)

    def to_json(self) -> dict[str, Any]:
        """The settings and rates by name, without the patients."""
        return {
            "policy": self.policy,
            "dropout": self.dropout,
            "tau_months": self.tau_months if np.isfinite(self.tau_months) else None,
            "missing_rate": named(self.rates, self.modalities, self.strata),
            "kept_rate": named(self.kept, self.modalities, self.strata),
            "association": self.association,
            "warnings": list(self.warnings),
        }


def fit_masking(
    policy: str,
    dropout: float,
    available: np.ndarray,
    strata: OutcomeStrata,
    fitted: np.ndarray,
    modalities: Sequence[str],
) -> ModalityMasking:
    """Fit a policy to the patients marked in `fitted` (n,) of those with `available` (n, M).

    use: nothing is masked. ignore: every modality is masked at the rate `dropout`. equalise: in
    addition, a patient of stratum s loses modality m with the probability
    1 - (1 - r*[m]) / (1 - r[s, m]), where r is the rate at which s lacks m, and r* its largest
    over s. The modality is then present at the rate 1 - r* in every stratum.

    This is exact while every patient has a modality that no stratum lacks. Otherwise some would
    lose everything and are left one (see `mask_modalities`); the remaining difference between the
    strata is in `kept` and, above 5 points, in the warnings. Raises ValueError for an unknown
    policy, a rate that is none, arrays of different length, or nobody to fit on.
    """
    if policy not in POLICIES:
        raise ValueError(f"no policy {policy!r} for missing modalities; use {', '.join(POLICIES)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"the modality dropout {dropout} is not a rate below 1")
    lengths = {len(values) for values in (available, strata.stratum, fitted)}
    if len(lengths) > 1 or available.shape[1] != len(modalities):
        raise ValueError(f"availability {available.shape} does not fit patients and modalities")
    if not np.any(fitted):
        raise ValueError("there is no patient to fit the masking of modalities on")
    available, fitted = available.astype(bool), fitted.astype(bool)
    stratum, names = strata.stratum, strata.names
    rates, size = lacking(available[fitted], stratum[fitted], len(names))
    worst = rates.max(axis=0)
    probability = np.zeros(available.shape)
    if policy == "equalise":
        keeping = np.divide(1 - worst, 1 - rates, out=np.ones_like(rates), where=rates < 1)
        probability = np.where(available, 1 - keeping[stratum], 0)
    kept = mean_by_stratum(
        probability_of_keeping(available, probability)[fitted], stratum[fitted], len(names)
    )
    return ModalityMasking(
        policy,
        tuple(modalities),
        available,
        probability,
        0.0 if policy == "use" else dropout,
        strata.tau_months,
        rates,
        worst,
        kept,
        strata.associated(available, fitted, modalities),
        names,
        tuple(
            warn(modalities, np.asarray(available.any(axis=0)), strata.in_words, rates, size, kept)
        )
        if policy == "equalise"
        else (),
    )


def mask_modalities(
    available: np.ndarray, probability: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Mask each available modality with its own probability; (n, M) bool.

    A patient who would lose all keeps one, chosen as if exactly one had been left: by the odds of
    being kept, (1 - p) / p. A patient with a single modality therefore never loses it.
    """
    masked = available & (rng.random(available.shape) < probability)
    race = rng.standard_exponential(available.shape) / odds_of_keeping(available, probability)
    loses_all = (masked == available).all(axis=1) & available.any(axis=1)
    masked[loses_all, race[loses_all].argmin(axis=1)] = False
    return masked


def odds_of_keeping(available: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """(1 - p) / p where available; next to nothing where not."""
    odds = (1 - probability) / np.maximum(probability, 1e-12)
    return np.where(available, odds, 1e-300)


def probability_of_keeping(available: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Probability (n, M) that `mask_modalities` leaves each modality."""
    loses_all = np.where(available, probability, 1).prod(axis=1, keepdims=True)
    odds = odds_of_keeping(available, probability)
    spared = loses_all * odds / odds.sum(axis=1, keepdims=True)
    return np.where(available, 1 - probability + spared, 0)
