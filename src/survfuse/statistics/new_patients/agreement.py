"""Whether two modalities of a patient go together as they do in the training patients.

Each may look ordinary by itself and yet be of two people. Both are placed along their leading
principal components; between these, canonical correlations say how one follows the other
(Hotelling, Biometrika 1936;28:321), less what they reach where patients are interchanged. The score
is the log likelihood ratio, under normal distributions, of two patients against one. Its p-value is
conformal, as in `novelty`, and training patients are scored by what was fitted without their fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from survfuse.statistics.new_patients.novelty import Axes, conformal_p, fit_axes, quantiles

MOST_COMPONENTS = 10  # of each modality
PERMUTATIONS = 100  # of patients, of which none may show a correlation as high
HIGHEST = 0.99  # correlation that is believed


@dataclass(frozen=True)
class Together:
    """Axes of two modalities, directions (r, k) in each, and their correlations (r,)."""

    first: Axes
    second: Axes
    left: np.ndarray
    right: np.ndarray
    correlations: np.ndarray

    def score(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Scores (n,) of patients (n, c) and (n, d); higher is less like one person."""
        u, v = self.first.along(first) @ self.left.T, self.second.along(second) @ self.right.T
        r = self.correlations
        ratio: np.ndarray = (r * (r * (u**2 + v**2) - 2 * u * v) / (2 * (1 - r**2))).sum(axis=1)
        return ratio


@dataclass(frozen=True)
class Agreement:
    """How two modalities go together, and the quantiles (201,) of the scores of `n` patients."""

    together: Together
    quantiles: np.ndarray
    n: int

    def p_value(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Conformal p-values (n,) of patients who have both; NaN counts as the mean."""
        return conformal_p(self.together.score(first, second), self.quantiles, self.n)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for a file."""
        axes = {"first": self.together.first, "second": self.together.second}
        return {
            **{f"{side}/{key}": v for side, one in axes.items() for key, v in one.arrays().items()},
            "left": self.together.left,
            "right": self.together.right,
            "correlations": self.together.correlations,
            "quantiles": self.quantiles,
            "n": np.array(self.n),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Agreement:
        """What `arrays` gave."""
        first, second = (Axes.from_arrays(arrays, f"{side}/") for side in ("first", "second"))
        directions = (arrays[name] for name in ("left", "right", "correlations"))
        return cls(Together(first, second, *directions), arrays["quantiles"], int(arrays["n"]))


def fit_agreement(first: np.ndarray, second: np.ndarray, folds: np.ndarray) -> Agreement | None:
    """From training patients who have both, (n, c) and (n, d), and the fold (n,) of each.

    None where one says nothing of the other. Raises ValueError with fewer than two folds.
    """
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise ValueError("patients are scored by what other folds fitted; give two folds or more")
    together = fit_together(first, second)
    without = [fit_together(first[folds != number], second[folds != number]) for number in numbers]
    if not all(len(one.correlations) for one in (together, *without)):
        return None
    reference = np.empty(len(folds))
    for number, one in zip(numbers, without, strict=True):
        out = folds == number
        reference[out] = one.score(first[out], second[out])
    return Agreement(together, quantiles(reference), len(reference))


def fit_together(first: np.ndarray, second: np.ndarray) -> Together:
    """The canonical correlations that exceed chance, none perhaps."""
    one, other = (
        fit_axes(np.asarray(matrix, float), MOST_COMPONENTS, share=1.0)
        for matrix in (first, second)
    )
    a, b = one.along(first), other.along(second)
    u, found, v = np.linalg.svd(a.T @ b / len(a), full_matrices=False)
    random = np.random.default_rng(0)
    chance = max(
        float(np.linalg.svd(a.T @ random.permutation(b) / len(a), compute_uv=False)[0])
        for _ in range(PERMUTATIONS)
    )
    kept = found > chance
    believed = np.minimum(np.sqrt(found[kept] ** 2 - chance**2), HIGHEST)
    return Together(one, other, u.T[kept], v[kept], believed)
