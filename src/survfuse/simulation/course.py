"""The course of a simulated disease: Weibull times with proportional hazards, and follow-up.

S(t | x) = exp(-(t / scale)^shape * exp(lp)), where lp is the log-hazard of a patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """How soon the event comes at a log-hazard of 0, and how long patients are followed."""

    shape: float
    scale_months: float
    accrual_months: tuple[float, float]  # from entry to the end of the study
    dropout_months: float  # mean time until a patient is lost to follow-up


def follow_up(
    course: Course, rng: np.random.Generator, log_hazard: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Observed times in months, to 0.01, and whether they end in the event; both (n,)."""
    n = len(log_hazard)
    waited = (rng.exponential(size=n) / np.exp(log_hazard)) ** (1 / course.shape)
    event = course.scale_months * waited
    end_of_study = rng.uniform(*course.accrual_months, n)
    censoring = np.minimum(end_of_study, rng.exponential(course.dropout_months, n))
    observed = np.minimum(event, censoring)
    return np.maximum(observed.round(2), 0.01), event <= censoring


def survival(course: Course, log_hazard: Array, months: ArrayLike) -> Array:
    """True probability of no event until each of `months`: (n, len(months))."""
    cumulative = (np.asarray(months, float) / course.scale_months) ** course.shape
    return np.exp(-cumulative[None, :] * np.exp(log_hazard)[:, None])
