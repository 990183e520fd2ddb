"""Tables of metrics for the cohort pages, made from how the metrics are declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from markupsafe import Markup

from survfuse.evaluation.metrics import Metric
from survfuse.reporting import findings
from survfuse.reporting.render import estimate
from survfuse.reporting.wording import capitalize_first
from survfuse.reporting.wording import months as in_months

AnyMetric = Metric[Any, Any, Any]
Shown = TypeVar("Shown", bound=AnyMetric)
MOST_BESIDE = 4  # columns with the interval beside the value


@dataclass(frozen=True)
class MetricColumn:
    """A column: its heading in lines, and where each row of evaluation.json has its value.

    part: the horizon or the class, where the metric has one value for each. few: whether it rests
    on few events.
    """

    heading: tuple[str, ...]
    metric: AnyMetric
    part: str | int | None = None
    few: bool = False

    def cell(self, row: findings.Row) -> Markup:
        """The value and its interval, or "not estimable"."""
        found, key = self.metric.found(row), f"evaluation/rows/{row['model']}/{self.metric.path}"
        if self.part is not None:
            key = f"{key}/{self.part}"
            if isinstance(found, Mapping):
                found = found.get(self.part)
            elif found is not None:
                found = found[self.part]
        return estimate(found, key, self.metric.digits)


@dataclass(frozen=True)
class MetricTable:
    """A table of metrics, a row per model: its file, caption, columns, rows and lacking figures."""

    file: str
    caption: Markup
    columns: Sequence[MetricColumn]
    rows: Sequence[findings.Row]
    reasons: Sequence[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def below(self) -> bool:
        """Whether intervals stand below their values, because columns are many."""
        return len(self.columns) > MOST_BESIDE


def caption_of(metrics: Iterable[AnyMetric], facts: Mapping[str, Markup | str]) -> Markup:
    """What the metrics are and by which convention, a sentence each.

    `facts` of the study, by the names that `about` has for them.
    """
    found = []
    for metric in metrics:
        convention = f"; convention: {metric.convention}" if metric.convention else ""
        found.append(Markup("{}{}.").format(sentence_of(metric, facts), convention))
    return Markup(" ").join(found)


def sentence_of(metric: AnyMetric, facts: Mapping[str, Markup | str]) -> Markup:
    """What a metric is, with the facts of the study."""
    return Markup.escape(metric.about).format(**facts)


def columns_at_horizons(
    metrics: Sequence[AnyMetric], horizons_months: Sequence[float], scarce: Sequence[float]
) -> list[MetricColumn]:
    """Metrics of one value first, then those that have one at each horizon."""
    single = [one for one in metrics if one.each != "horizon"]
    return [MetricColumn((capitalize_first(one.label),), one) for one in single] + [
        MetricColumn(
            (f"{capitalize_first(one.label)} at", in_months(months)),
            one,
            f"{months:g}",
            months in scarce,
        )
        for one in metrics
        if one not in single
        for months in horizons_months
    ]


def columns_of_classes(metrics: Sequence[AnyMetric], classes: Sequence[str]) -> list[MetricColumn]:
    """Metrics that have a value for each class, class by class, then those of one value."""
    each = [one for one in metrics if one.each == "class"]
    named = [Markup("<span data-verbatim>{}</span>").format(name) for name in classes]
    return [
        MetricColumn((name, one.label) if one is each[0] else (one.label,), one, number)
        for number, name in enumerate(named)
        for one in each
    ] + [MetricColumn((capitalize_first(one.label),), one) for one in metrics if one not in each]


def present(metrics: Iterable[Shown], rows: Sequence[findings.Row]) -> list[Shown]:
    """The metrics that pages show and that were evaluated, which may have been some time ago."""
    return [metric for metric in metrics if metric.shown and any(metric.is_in(row) for row in rows)]


def glossary_of(
    metrics: Iterable[AnyMetric], facts: Mapping[str, Markup | str]
) -> list[tuple[str, Markup]]:
    """What each metric is called and is, for readers without statistics."""
    return [(one.title, Markup.escape(one.plain).format(**facts)) for one in metrics]


def reasons_of(
    rows: Sequence[findings.Row], metrics: Iterable[AnyMetric]
) -> list[tuple[str, list[str]]]:
    """Why metrics of the row itself are absent, see `findings.reasons`."""
    whole = [one for one in metrics if not one.within and one.each != "class"]
    return findings.reasons(rows, {one.name: one.label for one in whole})


def intervals_in_words(metrics: Iterable[AnyMetric]) -> list[tuple[str, list[str]]]:
    """What each kind of interval is, with the words for the metrics that have it."""
    found: dict[str, list[str]] = {}
    for one in metrics:
        words = found.setdefault(one.interval.about, [])
        if one.word not in words:
            words.append(one.word)
    return list(found.items())
