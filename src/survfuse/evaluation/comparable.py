"""What finished studies of a task have in common, so that they can be compared with one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.artifacts.evaluation import Comparison, Evaluation
from survfuse.evaluation.metrics import Metric

AnyMetric = Metric[Any, Any, Any]


@dataclass(frozen=True)
class PairedDifference:
    """A metric whose differences between two rows evaluation.json holds, with intervals.

    interval: what they are, for readers. freedom: the degrees of freedom of the Student's t that
    their limits were made with; infinite for the normal distribution. limits: of what a difference
    can be.
    """

    metric: AnyMetric
    interval: str
    freedom: Callable[[Evaluation, Comparison], float]
    limits: tuple[float, float] = (-1.0, 1.0)

    def found(self, comparison: Comparison) -> Mapping[str, Any] | None:
        """The difference as value, low, high and, where there is none, reason."""
        if comparison["metric"] == self.metric.compared_as:
            return {**comparison, "value": comparison["difference"]}
        beside: Mapping[str, Any] | None = comparison.get(self.metric.name)
        return beside


@dataclass(frozen=True)
class Comparable:
    """How studies of one kind are compared.

    heading: the kind, "Survival". differences: what is pooled, that of the ranking metric first.
    shown: the metrics of rows that stand beside it.
    """

    heading: str
    differences: Sequence[PairedDifference]
    shown: Sequence[AnyMetric]


@dataclass(frozen=True)
class FinishedStudy:
    """A study whose evaluation is there. name: what tables call it, unlike all others."""

    name: str
    evaluation: Evaluation
    sha256: str  # of evaluation.json
    comparable: Comparable

    @property
    def n_events(self) -> int | None:
        """How many patients had the event; None where that is not what was predicted."""
        evaluation: Mapping[str, Any] = self.evaluation
        return evaluation.get("n_events")

    def row(self, model: str) -> Mapping[str, Any] | None:
        """A row of its leaderboard."""
        return next((row for row in self.evaluation["rows"] if row["model"] == model), None)

    def comparison(self, model: str, reference: str) -> Comparison | None:
        """The comparison of two rows, where it was made."""
        return next(
            (
                one
                for one in self.evaluation["comparisons"]
                if (one["model"], one["reference"]) == (model, reference)
            ),
            None,
        )
