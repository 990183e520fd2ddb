"""Predictions of fitted models, the same shape for every kind of model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class Predicted(Protocol):
    """What predictions of all tasks have; each task has a class of its own.

    attention: of each patient, by what it is called, where a model gives any and was asked for it.
    """

    @property
    def patient_ids(self) -> tuple[str, ...]: ...

    @property
    def attention(self) -> dict[str, list[np.ndarray]]: ...


@dataclass(frozen=True)
class Prediction:
    """Predictions for n patients on a grid of T times.

    `members` holds the survival curves of the ensemble members, (members, n, T); their mean is
    the prediction, because averaging probabilities cannot increase the Brier score. NaN marks
    times that the model cannot speak about.
    """

    patient_ids: tuple[str, ...]
    risk: np.ndarray  # (n,) higher is worse; comparable within one fitted model only
    members: np.ndarray  # (members, n, T)
    attention: dict[str, list[np.ndarray]] = field(default_factory=dict)  # per patient

    @property
    def survival(self) -> np.ndarray:
        """Mean survival over the members, (n, T)."""
        return self.members.mean(axis=0)


@dataclass(frozen=True)
class ClassPrediction:
    """Diagnoses of n patients: probabilities of K classes by each ensemble member.

    `threshold` is the probability of the second of two classes from which a diagnosis is positive,
    NaN where there are more classes. `synthesised` marks patients for whom a synthesised volume
    stood in for an absent one.
    """

    patient_ids: tuple[str, ...]
    members: np.ndarray  # (members, n, K)
    threshold: float
    synthesised: np.ndarray  # (n,) bool
    attention: dict[str, list[np.ndarray]] = field(default_factory=dict)  # per patient

    @property
    def probability(self) -> np.ndarray:
        """Mean probability over the members, (n, K)."""
        return self.members.mean(axis=0)


def percentile_ranks(risk: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Share of the reference risks below each risk, ties counted half: in [0, 1]."""
    ordered = np.sort(reference)
    below = np.searchsorted(ordered, risk, side="left")
    up_to = np.searchsorted(ordered, risk, side="right")
    return (below + up_to) / (2 * len(ordered))


def mean_over_available(values: Sequence[np.ndarray], available: np.ndarray) -> np.ndarray:
    """Mean of `values[m][i]` over the parts m with `available[i, m]`; NaN where there is none.

    Values of unavailable parts are not used, whatever they are.
    """
    stacked = np.stack(values)  # (M, n, ...)
    kept = available.T.reshape(available.shape[1], len(available), *([1] * (stacked.ndim - 2)))
    total = np.where(kept, stacked, 0.0).sum(axis=0)
    count = kept.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
