"""Whether a patient's columns are unlike those of the training patients.

Two distances are taken: in the leading principal components, by their variances, and the length of
what these leave, which grows where columns no longer go together as they did, even if every column
by itself looks ordinary. The larger of the two, each on the scale of its own spread among training
patients, is the score. Its p-value is conformal, (1 + how many training patients score as high) /
(n + 1), and so valid whatever the distribution; with n below 100 none is under 0.01.

Training patients are scored by what was fitted without their fold: with more columns than
patients, distances of those who were fitted are far too small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

MOST_COMPONENTS = 20
PATIENTS_PER_COMPONENT = 10
STEPS = 200  # between the quantiles of the scores that are kept
# Squared distances per dimension, of standardised columns, below this are rounding.
LEAST_DISTANCE = 1e-6
LEAST_SPREAD = 1e-3  # of log distances


@dataclass(frozen=True)
class Axes:
    """Where patients lie: columns (c,), components (k, c) and their shrunken variances (k,).

    `scale` is infinite for columns that do not vary, which therefore say nothing.
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray
    variances: np.ndarray

    def along(self, matrix: np.ndarray) -> np.ndarray:
        """(n, k) along the components, of variance 1 among the patients who were fitted."""
        z = standardised(matrix, self.mean, self.scale)
        places: np.ndarray = z @ self.components.T / np.sqrt(self.variances)
        return places

    def log_distances(self, matrix: np.ndarray) -> np.ndarray:
        """Logs of the mean squared distance within and beyond the components, (n, 2)."""
        z = standardised(matrix, self.mean, self.scale)
        within = z @ self.components.T
        beyond = z - within @ self.components
        free = max(z.shape[1] - len(self.components), 1)
        squares = [(within**2 / self.variances).mean(axis=1), (beyond**2).sum(axis=1) / free]
        return np.log(np.stack(squares, axis=1) + LEAST_DISTANCE)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str = "") -> Axes:
        """What `arrays` gave, under a prefix perhaps, among others."""
        return cls(**{field.name: arrays[prefix + field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Novelty:
    """What is kept of training patients: axes, middle and spread (2,) of their log distances, and
    the quantiles (201,) of the scores of `n` patients; no patient's columns."""

    axes: Axes
    middle: np.ndarray
    spread: np.ndarray
    quantiles: np.ndarray
    n: int

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Scores (n,) of patients (n, c); higher is more unlike. NaN counts as the mean."""
        return scores(self.axes.log_distances(matrix), self.middle, self.spread)

    def p_value(self, matrix: np.ndarray) -> np.ndarray:
        """Conformal p-values (n,)."""
        return conformal_p(self.score(matrix), self.quantiles, self.n)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for a file."""
        return {
            **self.axes.arrays(),
            "middle": self.middle,
            "spread": self.spread,
            "quantiles": self.quantiles,
            "n": np.array(self.n),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Novelty:
        """What `arrays` gave."""
        axes = Axes.from_arrays(arrays)
        return cls(axes, arrays["middle"], arrays["spread"], arrays["quantiles"], int(arrays["n"]))


def fit_novelty(matrix: np.ndarray, folds: np.ndarray) -> Novelty:
    """From training patients (n, c), NaN where missing, and the fold (n,) that leaves each out.

    Patients without any value are left out. Raises ValueError with fewer than two folds.
    """
    there = np.isfinite(matrix).any(axis=1)
    matrix, folds = np.asarray(matrix, float)[there], folds[there]
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise ValueError("patients are scored by what other folds fitted; give two folds or more")
    logs = np.empty((len(matrix), 2))
    for number in numbers:
        out = folds == number
        logs[out] = fit_axes(matrix[~out]).log_distances(matrix[out])
    middle = np.median(logs, axis=0)
    # Of the upper half only: who is nearer than usual is not unlike.
    spread = np.maximum(np.quantile(logs, 0.9, axis=0) - middle, LEAST_SPREAD)
    reference = scores(logs, middle, spread)
    return Novelty(fit_axes(matrix), middle, spread, quantiles(reference), len(matrix))


def quantiles(reference: np.ndarray) -> np.ndarray:
    """201 order statistics, from the lowest to the highest, of scores (n,)."""
    positions = -(-np.arange(STEPS + 1) * (len(reference) - 1) // STEPS)  # rounded up
    kept: np.ndarray = np.sort(reference)[positions]
    return kept


def conformal_p(found: np.ndarray, kept: np.ndarray, n: int) -> np.ndarray:
    """Conformal p-values (m,) of scores (m,), of the quantiles that were kept of n patients.

    Between kept quantiles it is the larger one; exact for n <= 201.
    """
    below = np.searchsorted(kept, found, side="left")
    # Who exceeds the last quantile that is below exceeds its patients too, and is met by at most
    # the others.
    others = (n - 1) * (STEPS + 1 - below) // STEPS
    p: np.ndarray = (1 + np.where(below == 0, n, others)) / (n + 1)
    return p


def scores(log_distances: np.ndarray, middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The larger of both log distances (n, 2), each on its own scale."""
    larger: np.ndarray = ((log_distances - middle) / spread).max(axis=1)
    return larger


def fit_axes(matrix: np.ndarray, most: int = MOST_COMPONENTS, share: float = 0.5) -> Axes:
    """Principal components of standardised columns (n, c), NaN where missing.

    At most so many, and that share of the columns, and fewer of few patients.
    """
    known = np.isfinite(matrix)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, matrix, 0).sum(axis=0) / number
    centred = np.where(known, matrix - mean, 0)
    scale = np.sqrt((centred**2).sum(axis=0) / number)
    scale = np.where(scale > 1e-12 * np.maximum(1, np.abs(mean)), scale, np.inf)
    z = centred / scale
    n, columns = z.shape
    components = max(1, min(most, n // PATIENTS_PER_COMPONENT, int(share * columns)))
    _, size, directions = np.linalg.svd(z, full_matrices=False)
    variances = shrunken(size**2 / n, (z**2).sum(axis=1), columns)
    return Axes(mean, scale, directions[:components], variances[:components])


def shrunken(eigenvalues: np.ndarray, squared_norms: np.ndarray, columns: int) -> np.ndarray:
    """Eigenvalues of a covariance drawn to their mean (Ledoit and Wolf, J Multivar Anal 2004).

    By the share of their spread that is sampling error, from the squared lengths (n,) of patients.
    """
    n, mean = len(squared_norms), float(eigenvalues.sum()) / columns
    total = float(eigenvalues @ eigenvalues)
    apart = total - columns * mean**2
    error = (float(squared_norms @ squared_norms) / n - total) / n
    share = min(error / apart, 1.0) if apart > 0 else 1.0
    return np.maximum((1 - share) * eigenvalues + share * mean, LEAST_DISTANCE)


def standardised(matrix: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Columns in standard deviations from the mean, 0 where missing."""
    return np.where(np.isfinite(matrix), (matrix - mean) / scale, 0.0)
