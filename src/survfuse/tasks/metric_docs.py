"""The documentation page of all metrics, generated from their declarations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from survfuse.evaluation.metrics import Metric
from survfuse.tasks.diagnosis.metrics import MORE_CLASSES, TWO_CLASSES, ranking_of
from survfuse.tasks.survival.metrics import METRICS, RANKING

HEAD = """# Metrics

Generated from `survfuse.tasks.survival.metrics` and `survfuse.tasks.diagnosis.metrics` by
`survfuse schema --format metrics`; edit the declarations, not this page. How to add one:
[add_metric.md](../how_to/add_metric.md). What the figures are worth:
[methods.md](../explanation/methods.md#metrics) and
[diagnosis.md](../explanation/diagnosis.md#what-is-measured).

The key is that of a row of `evaluation.json`. In `report/tables/leaderboard.csv` it is the name of
a column, with `_` for `/` and followed by the horizon or the class, where there is one; `_low`,
`_high` and, where there is no figure, `_reason` stand beside it.
"""
TABLE = "| key | metric | what it is | better | interval |\n|---|---|---|---|---|\n"
# What metrics call facts of a study, where there is none.
FACTS = {
    "tau": "τ",
    "grid": "the times of the grid",
    "case": "case",
    "other": "other",
    "weighed": "",
}
EACH = {"": "", "horizon": " at each horizon", "class": " of each class"}


def markdown() -> str:
    """The whole page."""
    tables = (
        table("Survival", METRICS.values(), RANKING),
        table("Diagnosis of two classes", TWO_CLASSES.values(), ranking_of(2)),
        table("Diagnosis of more classes", MORE_CLASSES.values(), ranking_of(3)),
    )
    return HEAD + "".join(tables)


def table(
    heading: str, metrics: Iterable[Metric[Any, Any, Any]], ranking: Metric[Any, Any, Any]
) -> str:
    """The metrics of one kind of leaderboard."""
    head = f"\n## {heading}\n\nRows are ordered and compared by `{ranking.name}`.\n\n{TABLE}"
    return head + "".join(line(metric) for metric in metrics)


def line(metric: Metric[Any, Any, Any]) -> str:
    """The row of one metric."""
    what = metric.plain.format(**FACTS) + (
        f" Convention: {metric.convention}." if metric.convention else ""
    )
    each = f"{metric.path}`{EACH[metric.each]}"
    cells = (f"`{each}", metric.title, what, metric.better, metric.interval.about)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
