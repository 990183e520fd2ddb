"""Estimates with intervals: the corrected resampled t and the bootstrap over patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from survfuse.artifacts.study import CrossValidation
from survfuse.core.errors import SurvfuseError

CORRECTED_T = "corrected resampled t (Nadeau-Bengio)"
# A resample without any case, control or follow-up has no value. Up to this share is left out.
LARGEST_UNDEFINED_SHARE = 0.1


class NotEstimableError(SurvfuseError):
    """The data cannot answer the question; the message says why."""


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; what cannot be estimated is None, and `reason` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields; `reason` only when there is one."""
        fields = {"value": self.value, "low": self.low, "high": self.high}
        return fields if self.reason is None else {**fields, "reason": self.reason}


def corrected_t(
    values: np.ndarray,
    weights: np.ndarray,
    test_share: float,
    confidence: float,
    bounds: tuple[float, float],
) -> Estimate:
    """Weighted mean of k fold results with the interval of Nadeau and Bengio.

    The training parts of folds and repeats overlap, so that results vary together and the plain t
    interval is far too narrow. Its variance s^2/k becomes s^2 (1/k + test_share), where
    `test_share` is the number of test patients per training patient (Nadeau and Bengio, Machine
    Learning 2003;52:239). With weights w summing to 1, 1/k generalises to sum(w^2) and s^2 to the
    weighted variance; equal weights give the published formula. Limits are clipped to `bounds`.
    """
    if not len(values):
        return Estimate(reason="no fold has comparable pairs")
    w = weights / weights.sum()
    mean = float(np.clip(w @ values, *bounds))
    if len(values) < 2:
        return Estimate(mean, reason="only one fold could be scored, so there is no interval")
    variance = float(w @ (values - mean) ** 2) / (1 - float(w @ w))
    margin = float(stdtrit(len(values) - 1, 0.5 + confidence / 2)) * np.sqrt(
        (float(w @ w) + test_share) * variance
    )
    low, high = np.clip([mean - margin, mean + margin], *bounds)
    return Estimate(mean, float(low), float(high))


def draw_counts(study: CrossValidation, resamples: int, seed: int) -> np.ndarray:
    """How often each patient counts: (1 + resamples, n), the cohort itself in row 0.

    Below it, the bootstrap: patients are drawn with replacement within the folds of the first
    repeat. The same resamples serve every model and metric, so that all intervals are paired.
    """
    generator = np.random.default_rng(seed)
    counts = np.ones((1 + resamples, len(study.patient_ids)))
    for fold in study.folds_of(0):
        even = np.full(len(fold.test), 1 / len(fold.test))
        counts[1:, fold.test] = generator.multinomial(len(fold.test), even, size=resamples)
    return counts


def percentile_interval(
    values: np.ndarray, confidence: float, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Estimate:
    """The estimate `values[0]` with the percentile interval of its resamples `values[1:]`.

    NaN marks a resample that has no value. The interval is conditional on the fitted models: it
    does not repeat the training. All are kept within `bounds`, which a ratio of sums may exceed by
    a rounding error.
    """
    values = np.clip(values, *bounds)
    value, draws = float(values[0]), values[1:]
    defined = draws[np.isfinite(draws)]
    if len(defined) < (1 - LARGEST_UNDEFINED_SHARE) * len(draws):
        return Estimate(
            value,
            reason=f"{len(draws) - len(defined)} of {len(draws)} bootstrap resamples have no value",
        )
    low, high = np.quantile(defined, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(value, float(low), float(high))
