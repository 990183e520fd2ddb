"""How the functions of metrics of a diagnosis become estimates with limits.

- `REFITTED`: the function takes rows of known class and returns the influence of every patient.
- `mean_of_rows(low, high)`: it returns a term of every row, (n,).
- `WILSON` and the others: it returns the estimate with its limits; with `_EACH` one per class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from survfuse.evaluation.metrics import Interval, given
from survfuse.statistics.delong import Influence, refitting_interval
from survfuse.statistics.intervals import Estimate
from survfuse.statistics.probabilities import mean_with_interval
from survfuse.tasks.diagnosis.scored import ClassPredictions, ScoredClasses

Given = Interval[ScoredClasses, ScoredClasses, Estimate]
GivenForEach = Interval[ScoredClasses, ScoredClasses, list[Estimate]]


def mean_of_rows(
    low: float = -np.inf, high: float = np.inf
) -> Interval[ScoredClasses, ScoredClasses, np.ndarray]:
    """For functions that return a term of every row, (n,): their weighted mean.

    `low` and `high` are the limits of what the metric can be.
    """

    def estimate(
        compute: Callable[[ScoredClasses], np.ndarray], scored: ScoredClasses
    ) -> dict[str, Any]:
        terms = compute(scored)
        found = mean_with_interval(terms, scored.confidence, scored.patient, scored.known.weight)
        if found.low is None or found.high is None:
            return found.as_json()
        return Estimate(found.value, max(found.low, low), min(found.high, high)).as_json()

    return Interval("normal, of a mean over patients", estimate)


def influence(
    compute: Callable[[ClassPredictions], Influence], scored: ScoredClasses
) -> dict[str, float | None]:
    """The estimate of a statistic of which the influence of every patient is known."""
    return refitting_interval(compute(scored.known), scored.confidence).as_json()


def for_each(about: str) -> GivenForEach:
    """For functions that return an estimate with its interval for every class."""
    return Interval(about, lambda compute, scored: [one.as_json() for one in compute(scored)])


REFITTED = Interval(
    "DeLong’s within folds, widened so that it holds the mean of models trained on other cohorts "
    "of this size",
    influence,
)
REFITTED_EACH: GivenForEach = for_each(REFITTED.about)
WILSON: Given = given(
    "Wilson’s, on the effective number of patients, which takes the models as they are"
)
WILSON_EACH: GivenForEach = for_each(WILSON.about)
OF_SHARES: Given = given("from those of the shares (Zou and Donner)")
WALD: Given = given("Wald’s")
WALD_WITHIN: Given = given(
    "Wald’s, widened because test patients trained the models of other folds"
)
