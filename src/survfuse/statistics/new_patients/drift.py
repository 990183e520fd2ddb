"""Whether the patients of a period differ from those of a study, of whom only counts are kept.

Each comparison gives a p-value; over all of a period they are adjusted (Holm, Scand J Stat
1979;6:65), and over the periods that are planned the level is divided (Bonferroni), so that the
chance of any alarm in all of them is at most the level if nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 20_000
FEWEST = (
    5  # patients of a study in a cell; fewer are put together, so that nobody can be recognised
)


def counts_p(found: Sequence[int], study: Sequence[int]) -> float:
    """P-value of counts (k,) of a period against those of the study, in the same cells.

    Pearson's statistic, its distribution by drawing as many patients from both together. Exact up
    to the number of draws, however few patients there are.
    """
    own, reference = np.asarray(found), np.asarray(study)
    total, n = own + reference, int(own.sum())
    if not n or not reference.sum() or (total > 0).sum() < 2:
        return 1.0
    random = np.random.default_rng(0)
    drawn = random.multivariate_hypergeometric(total, n, size=RESAMPLES)
    everybody, kept = total.sum(), total > 0
    expected = total[kept] * n / everybody

    def statistic(counts: np.ndarray) -> np.ndarray:
        apart: np.ndarray = ((counts[..., kept] - expected) ** 2 / expected).sum(axis=-1)
        return apart

    as_far = int((statistic(drawn) >= statistic(own) * (1 - 1e-9)).sum())
    return (1 + as_far) / (1 + RESAMPLES)


def flagged_of(level: float, n: int) -> int:
    """Of n + 1 exchangeable patients, the number who have a conformal p-value below level."""
    return max(math.ceil(level * (n + 1) - 1e-9) - 1, 0)


def excess_p(found: int, of: int, level: float, n: int) -> float:
    """P-value of at least `found` of `of` patients with conformal p-values below `level`.

    These were taken from n patients of a study, the same for all, so that the number flagged among
    exchangeable patients is beta-binomial and not binomial.
    """
    from scipy.stats import betabinom

    beyond = flagged_of(level, n)
    return float(betabinom.sf(found - 1, of, beyond, n + 1 - beyond)) if beyond else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given."""
    values = np.asarray(p, float)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in adjusted]


def edges(values: np.ndarray, parts: int = 5) -> list[float]:
    """Between which lie equally many of the values (n,); fewer parts where they repeat."""
    inner = np.quantile(values, np.arange(1, parts) / parts)
    return [float(value) for value in np.unique(inner)]


def counts_between(values: np.ndarray, inner: Sequence[float]) -> list[int]:
    """How many of the values (n,) lie in each part; an edge belongs to the part above it."""
    place = np.searchsorted(np.asarray(inner), values, side="right")
    return [int(number) for number in np.bincount(place, minlength=len(inner) + 1)]
