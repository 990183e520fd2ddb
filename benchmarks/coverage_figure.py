"""A figure of the coverage benchmark: a share or a mean over simulated cohorts, and its limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Found = TypeVar("Found")


@dataclass(frozen=True)
class Figure:
    """A mean over simulated cohorts with its Monte Carlo error, and the limits it must keep."""

    name: str
    value: float
    error: float  # standard error over the cohorts
    low: float
    high: float
    told: str  # what it is, in a few words

    @property
    def kept(self) -> bool:
        return self.low <= self.value <= self.high


def mean_figure(name: str, values: Sequence[float], low: float, high: float, told: str) -> Figure:
    """The mean of one value per cohort; cohorts without one (NaN) are left out and counted."""
    found = np.asarray(values, float)
    known = found[np.isfinite(found)]
    without = len(found) - len(known)
    told = f"{told}; {len(known)} cohorts" + (f", {without} not estimable" if without else "")
    error = float(known.std(ddof=1) / np.sqrt(len(known)))
    return Figure(name, float(known.mean()), error, low, high, told)


def over_cohorts(
    simulate: Callable[[int], Found], cohorts: int, jobs: int, seed: int = 0
) -> list[Found]:
    """`simulate` of the seeds seed .. seed + cohorts - 1, in `jobs` processes, in their order."""
    seeds = range(seed, seed + cohorts)
    if jobs == 1:
        return [simulate(one) for one in seeds]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(simulate, seeds, chunksize=max(1, cohorts // (8 * jobs))))
