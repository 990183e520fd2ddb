"""A metric of a leaderboard as one declaration.

Scores, ranking, tables, pages, files and documentation are made from the declarations of a task
(`tasks.survival.metrics`, `tasks.diagnosis.metrics`); nothing else knows which metrics there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from survfuse.statistics.intervals import Estimate, NotEstimableError

Topic = Literal["discrimination", "decisions", "error", "calibration"]
Better = Literal["higher", "lower", "near 0", "near 1"]

Scored = TypeVar("Scored")  # everything that a metric of the task may look at
Argument = TypeVar("Argument")  # what its function is called with
Result = TypeVar("Result")  # what its function returns


@dataclass(frozen=True)
class Interval(Generic[Scored, Argument, Result]):
    """How the function of a metric becomes an estimate with limits.

    `about` is its name for readers. `estimate` calls the function, and returns what evaluation.json
    holds; it may raise NotEstimableError.
    """

    about: str
    estimate: Callable[[Callable[[Argument], Result], Scored], Any]


def given(about: str) -> Interval[Scored, Scored, Estimate]:
    """The interval that the function itself returns, where no other has its method."""
    return Interval(about, lambda compute, scored: compute(scored).as_json())


@dataclass(frozen=True, kw_only=True)
class Metric(Generic[Scored, Argument, Result]):
    """A metric of the leaderboard."""

    name: str  # its key in evaluation.json and its column in leaderboard.csv
    title: str  # its full name
    label: str  # the heading of its column on pages, in the case that it has within a sentence
    topic: Topic  # the table of the page that it stands in
    better: Better
    compute: Callable[[Argument], Result]
    interval: Interval[Scored, Argument, Result]
    # A sentence without full stop for the caption of that table. Names in braces stand for facts of
    # a study that its task knows.
    about: str
    plain: str = ""  # the same for the glossary, whose readers are no statisticians
    each: Literal["", "horizon", "class"] = ""  # what it has one value for
    convention: str = ""  # which of the definitions in use it follows
    digits: int = 2  # decimals on pages
    shown: bool = True  # on pages too, not in files alone
    within: str = ""  # the key of a row of evaluation.json below which it stands, if any
    compared_as: str = ""  # what evaluation.json calls a difference of it; by default its name
    noun: str = ""  # what sentences of pages call it; by default its label
    word: str = ""  # what notes call it; by default its label

    def __post_init__(self) -> None:
        defaults = {
            "plain": f"{self.about}.",
            "compared_as": self.name,
            "noun": self.label,
            "word": self.label,
        }
        for field, default in defaults.items():
            object.__setattr__(self, field, getattr(self, field) or default)

    @property
    def path(self) -> str:
        """Its place in a row of evaluation.json."""
        return f"{self.within}/{self.name}" if self.within else self.name

    def score(self, scored: Scored) -> Any:
        """Its part of evaluation.json; null and the reason where it cannot be estimated."""
        try:
            return self.interval.estimate(self.compute, scored)
        except NotEstimableError as error:
            return Estimate(reason=str(error)).as_json()

    def found(self, row: Mapping[str, Any] | None) -> Any:
        """Its part of a row of evaluation.json; None where the row has none."""
        return self.part_of(row or {}).get(self.name)

    def is_in(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of evaluation.json was scored by it."""
        return self.name in self.part_of(row)

    def part_of(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part of a row of evaluation.json that it stands in, empty where there is none."""
        return row.get(self.within) or {} if self.within else row


Declared = TypeVar("Declared", bound=Metric[Any, Any, Any])


def declared(*metrics: Declared) -> dict[str, Declared]:
    """Metrics by name, in their order. Raises ValueError where two have one name."""
    found = {metric.name: metric for metric in metrics}
    if len(found) < len(metrics):
        raise ValueError("two metrics of one leaderboard have the same name")
    return found


def of_topics(metrics: Iterable[Declared], *topics: Topic) -> list[Declared]:
    """The metrics of some topics, in their order."""
    return [metric for metric in metrics if metric.topic in topics]


@dataclass(frozen=True)
class Documented:
    """The metrics of one kind of leaderboard, for the page that lists them all."""

    heading: str
    metrics: Sequence[Metric[Any, Any, Any]]
    ranking: Metric[Any, Any, Any]  # by which rows are ordered and compared
