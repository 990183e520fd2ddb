"""A time that a stated share of patients survives, calibrated on patients whom no model has seen.

The calibration value of a patient is u = F(T | x), the predicted probability of the event by the
end of their observed time T, out of fold. The bound of a new patient is where their predicted
probability reaches tau, a low quantile of u: of patients like those of the calibration, at least
1 - alpha survive it. That holds on average over such patients and over calibration sets, not for
one patient or a subgroup.

`observed_time` takes the censored as if they had the event when they were censored: it holds
whatever the censoring, and is short. `ipcw` weights events by the inverse probability of not being
censored before, from Kaplan-Meier (Candes, Lei and Ren, JRSSB 2023;85:24 give the idea, for known
censoring): it needs censoring that does not depend on the prognosis. A gate chooses: where a Cox
model of the censoring finds that clinical covariates matter, or cannot tell, `observed_time`.

Patients of the calibration were predicted by models of other folds (cross-conformal), for which
theory promises 1 - 2 alpha only; benchmarks/conformal.py measures what is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.censoring import uncensored_before
from survfuse.statistics.intervals import Estimate
from survfuse.statistics.proportions import wilson

Method = Literal["observed_time", "ipcw"]
# Below this p-value of the gate, censoring counts as dependent on the clinical covariates.
GATE_LEVEL = 0.05
# Fewer calibration patients give a quantile that says little of the next calibration set.
LEAST_CALIBRATION = 50
# Directions of the covariates with less than this share of the largest spread are rounding.
LEAST_SPREAD = 1e-8
# tau is often a value at which a flat part of a curve begins: it is reached there, not at its end.
ROUNDING = 1e-12


@dataclass(frozen=True)
class SurvivalBound:
    """The level `tau` at which predicted curves are read, and how it was found.

    `gate_p`: of the test whether covariates tell who is censored; None where it could not be made.
    """

    tau: float
    method: Method
    gate_p: float | None
    n: int
    alpha: float

    def as_json(self) -> dict[str, Any]:
        """The fields; none is of one patient alone but tau itself."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> SurvivalBound:
        """What `as_json` gave."""
        return cls(**fields)


@dataclass(frozen=True)
class CoverageCheck:
    """The share of the study's own patients who survive their bound, and the nominal one."""

    coverage: Estimate
    n: int
    nominal: float

    @property
    def is_shown(self) -> bool:
        """Whether the bound may be shown: enough patients, and the nominal share not refuted."""
        high = self.coverage.high
        return self.n >= LEAST_CALIBRATION and high is not None and high >= self.nominal

    def as_json(self) -> dict[str, Any]:
        """The fields and the verdict."""
        return {
            "coverage": self.coverage.as_json(),
            "n": self.n,
            "nominal": self.nominal,
            "is_shown": self.is_shown,
        }


def calibration_values(
    grid_months: np.ndarray, survival: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """u = F(T | x), (n,), from predicted curves (n, m) on a grid (m,) and observed times (n,).

    1 where the observed time reaches the end of the curve (the grid, or the first NaN): a bound
    within the curve is survived then. Curves are read as in `bound_months`.
    """
    values = np.ones(len(time))
    for row, (curve, until) in enumerate(zip(survival, time, strict=True)):
        months, hazard = knots(grid_months, curve)
        if until < months[-1]:
            values[row] = -np.expm1(-np.interp(until, months, hazard))
    return values


def bound_months(grid_months: np.ndarray, survival: np.ndarray, tau: float) -> float | None:
    """The first month at which a predicted curve (m,) on a grid (m,) has 1 - S >= tau.

    S(0) = 1, and between grid times the hazard is constant. None where the curve does not get
    there: the bound is not within the months of the curve.
    """
    months, hazard = knots(grid_months, survival)
    if tau <= 0:
        return 0.0
    sought = float(-np.log1p(-tau)) if tau < 1 else np.inf
    reached = np.flatnonzero(hazard >= sought * (1 - ROUNDING))
    if not len(reached):
        return None
    after = int(reached[0])
    share = (sought - hazard[after - 1]) / (hazard[after] - hazard[after - 1])
    return float(months[after - 1] + min(share, 1.0) * (months[after] - months[after - 1]))


def knots(grid_months: np.ndarray, survival: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Months from 0 on and the cumulative hazard there, up to the first NaN of a curve."""
    stated = np.isfinite(survival)
    end = len(survival) if stated.all() else int(np.argmin(stated))
    months, known = grid_months[:end], survival[:end]
    later = months > 0
    hazard = -np.log(np.clip(known[later].astype(float), np.finfo(float).tiny, 1.0))
    return np.r_[0.0, months[later]], np.r_[0.0, hazard]


def calibrate(
    values: np.ndarray, outcome: SurvivalOutcome, covariates: np.ndarray, alpha: float
) -> SurvivalBound:
    """The bound from calibration values (n,) with the method that the gate allows.

    covariates: few clinical columns (n, p), complete.
    """
    p = censoring_gate(outcome, covariates)
    method: Method = "ipcw" if p is not None and p >= GATE_LEVEL else "observed_time"
    return SurvivalBound(level(values, outcome, alpha, method), method, p, len(values), alpha)


def level(values: np.ndarray, outcome: SurvivalOutcome, alpha: float, method: Method) -> float:
    """tau: the largest level below which the weights of u and 1 sum to at most alpha (n + 1).

    The 1 stands for the new patient. Weights are 1 (`observed_time`), which gives the
    floor(alpha (n + 1))-th smallest value, or event / G(T-) (`ipcw`). 0 where alpha is too small
    for n; the largest value where all weights are too few, beyond which nothing is known.
    """
    n = len(values)
    budget = alpha * (n + 1) + 1e-9
    if budget < 1:
        return 0.0
    weight = np.ones(n) if method == "observed_time" else inverse_weights(outcome)
    order = np.argsort(values, kind="stable")
    used = np.cumsum(weight[order]) + 1
    return float(values[order][min(int(np.searchsorted(used, budget, "right")), n - 1)])


def inverse_weights(outcome: SurvivalOutcome) -> np.ndarray:
    """event / G(T-), (n,), G being Kaplan-Meier's estimate of these patients."""
    weight = np.zeros(len(outcome))
    weight[outcome.event] = 1 / uncensored_before(outcome, outcome.time[outcome.event])
    return weight


def censoring_gate(outcome: SurvivalOutcome, covariates: np.ndarray) -> float | None:
    """p of the likelihood-ratio test of a Cox model of censoring on covariates (n, p).

    Columns that repeat others or do not vary add nothing. None where the model has no finite fit,
    nobody was censored, or no column varies.
    """
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError, ConvergenceWarning

    centred = covariates - covariates.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > LEAST_SPREAD * np.maximum(1, np.abs(covariates).max(axis=0, initial=0))
    if outcome.event.all() or not varies.any():
        return None
    # Any basis of the columns has the same likelihood, and this one no two alike.
    basis, size, _ = np.linalg.svd(centred[:, varies] / spread[varies], full_matrices=False)
    basis = basis[:, size > LEAST_SPREAD * size[0]] * np.sqrt(len(outcome))
    frame = pd.DataFrame(basis, columns=[f"x{number}" for number in range(basis.shape[1])])
    frame = frame.assign(time=outcome.time, censored=~outcome.event)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)  # separation among others
        try:
            fitted = CoxPHFitter().fit(frame, "time", "censored")
            p = float(fitted.log_likelihood_ratio_test().p_value)
        except (ConvergenceError, ConvergenceWarning):
            return None
    return p if np.isfinite(p) else None


def check_coverage(
    values: np.ndarray,
    outcome: SurvivalOutcome,
    folds: np.ndarray,
    bound: SurvivalBound,
    confidence: float,
) -> CoverageCheck:
    """Calibrate without each outer fold (n,) in turn, and count who survives the bound then.

    The share is 1 - mean of event / G(T-) over those who do not; Wilson's interval on the number of
    unweighted patients who would have the same spread. Where censoring depends on the prognosis the
    weights are only roughly right. As the folds are of one study, this finds models that differ
    between folds, not patients of elsewhere.
    """
    tau = np.empty(len(values))
    for fold in np.unique(folds):
        rest = folds != fold
        tau[~rest] = level(values[rest], outcome[rest], bound.alpha, bound.method)
    missed = inverse_weights(outcome) * (values < tau)
    n, share = len(values), float(np.clip(missed.mean(), 0, 1))
    variance = float(missed.var()) / n
    rows = min(share * (1 - share) / variance, n) if variance > 0 and 0 < share < 1 else n
    return CoverageCheck(wilson((1 - share) * rows, rows, confidence), n, 1 - bound.alpha)
