"""A light ridge Cox model for simulations that refit it thousands of times, and its patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse.artifacts.study import Fold, Study, SurvivalOutcome

MOST_STEPS = 15


@dataclass(frozen=True)
class RidgeCox:
    """Coefficients (p,), and the baseline's cumulative hazard (k,) from each event time (k,) on."""

    coefficients: np.ndarray
    time: np.ndarray
    baseline: np.ndarray

    def risk(self, features: np.ndarray) -> np.ndarray:
        """Log-hazards (n,)."""
        return features @ self.coefficients

    def survival(self, features: np.ndarray, months: float) -> np.ndarray:
        """S(months | x), (n,)."""
        steps = int(np.searchsorted(self.time, months, side="right"))
        hazard = self.baseline[steps - 1] if steps else 0.0
        return np.exp(-hazard * np.exp(self.risk(features)))


def fit(features: np.ndarray, outcome: SurvivalOutcome, penalty: float) -> RidgeCox:
    """Newton's method on the penalised partial likelihood (Breslow's ties); features (n, p)."""
    order = np.argsort(outcome.time)
    x, event = features[order], outcome.event[order]
    squares = x[:, :, None] * x[:, None, :]
    beta = np.zeros(x.shape[1])
    for _ in range(MOST_STEPS):
        hazard = np.exp(x @ beta)
        total = at_risk(hazard)[event]
        mean = at_risk(hazard[:, None] * x)[event] / total[:, None]
        second = at_risk(hazard[:, None, None] * squares)[event] / total[:, None, None]
        gradient = (x[event] - mean).sum(axis=0) - penalty * beta
        information = second.sum(axis=0) - mean.T @ mean + penalty * np.eye(len(beta))
        step = np.linalg.solve(information, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-6:
            break
    jumps = 1 / at_risk(np.exp(x @ beta))[event]
    return RidgeCox(beta, outcome.time[order][event], jumps.cumsum())


def at_risk(values: np.ndarray) -> np.ndarray:
    """Sums over the patients from each row on."""
    return values[::-1].cumsum(axis=0)[::-1]


def draw_patients(
    rng: np.random.Generator, n: int, effects: np.ndarray, features: int
) -> tuple[np.ndarray, SurvivalOutcome]:
    """Gaussian features (n, features), the first of which have effects on exponential times.

    Censoring is uniform up to 60 months; the median time of the average patient is 14 months.
    """
    x = rng.normal(size=(n, features))
    time = draw_months(rng, x, effects)
    censored = rng.uniform(0, 60, size=n)
    return x, SurvivalOutcome(np.minimum(time, censored), time <= censored)


def draw_months(rng: np.random.Generator, x: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Uncensored times of patients with features x (n, p), (n,)."""
    months: np.ndarray = 20 * rng.exponential(size=len(x)) * np.exp(-x[:, : len(effects)] @ effects)
    return months


def divide(rng: np.random.Generator, outcome: SurvivalOutcome, folds: int, repeats: int) -> Study:
    """A study with folds that are stratified by event."""
    n = len(outcome)
    made = []
    for repeat in range(repeats):
        assigned = np.empty(n, dtype=int)
        assigned[np.lexsort((rng.random(n), outcome.event))] = np.arange(n) % folds
        for fold in range(folds):
            tested = np.flatnonzero(assigned == fold)
            made.append(Fold(repeat, fold, np.flatnonzero(assigned != fold), tested))
    return Study(tuple(f"P{number}" for number in range(n)), outcome, tuple(made))
