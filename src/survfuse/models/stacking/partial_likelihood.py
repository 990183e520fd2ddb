"""Cox's partial likelihood of given log-hazards, with its derivatives; ties after Breslow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PartialLikelihood:
    """The risk sets of n patients, from which likelihood and derivatives take O(n) each.

    All arrays lie in the order of falling times. first, last: the rows of the first and the last
    patient with the same time.
    """

    order: np.ndarray  # (n,) rows of the patients as they were given
    event: np.ndarray  # (n,) bool
    first: np.ndarray  # (n,) int
    last: np.ndarray  # (n,) int

    @staticmethod
    def of(time: np.ndarray, event: np.ndarray) -> PartialLikelihood:
        """The risk sets of times (n,), events (n,) bool."""
        order = np.argsort(-time, kind="stable")
        falling = -time[order]
        return PartialLikelihood(
            order,
            event[order].astype(bool),
            np.searchsorted(falling, falling, side="left"),
            np.searchsorted(falling, falling, side="right") - 1,
        )

    def value(self, log_hazard: np.ndarray) -> float:
        """Log partial likelihood of log-hazards (n,)."""
        return self.value_and_slope(log_hazard)[0]

    def value_and_slope(self, log_hazard: np.ndarray) -> tuple[float, np.ndarray]:
        """Log partial likelihood, and its slope (n,) by the log-hazards.

        The slope is the martingale residual: the events of a patient less those expected.
        """
        score = log_hazard[self.order]
        shift = score.max()
        ratio = np.exp(score - shift)
        at_risk = ratio.cumsum()[self.last]
        value = float((score - shift - np.log(at_risk))[self.event].sum())
        slope = np.empty(len(score))
        slope[self.order] = self.event - ratio * self.so_far(self.event / at_risk)
        return value, slope

    def curvature(self, log_hazard: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Information (p, p) on the coefficients of columns (n, p)."""
        score = log_hazard[self.order]
        ratio = np.exp(score - score.max())
        x = columns[self.order]
        at_risk = ratio.cumsum()[self.last]
        weight = ratio * self.so_far(self.event / at_risk)
        dead = self.last[self.event]
        mean = (ratio[:, None] * x).cumsum(axis=0)[dead] / at_risk[self.event, None]
        information: np.ndarray = (weight[:, None] * x).T @ x - mean.T @ mean
        return information

    def weights(self, log_hazard: np.ndarray) -> np.ndarray:
        """Diagonal (n,) of the information on the log-hazards themselves."""
        score = log_hazard[self.order]
        ratio = np.exp(score - score.max())
        at_risk = ratio.cumsum()[self.last]
        own = ratio * self.so_far(self.event / at_risk)
        shared = ratio**2 * self.so_far(self.event / at_risk**2)
        weights = np.empty(len(score))
        weights[self.order] = own - shared
        return weights

    def so_far(self, jumps: np.ndarray) -> np.ndarray:
        """(n,) sums of the jumps at all times up to each patient's own."""
        sums: np.ndarray = jumps[::-1].cumsum()[::-1][self.first]
        return sums
