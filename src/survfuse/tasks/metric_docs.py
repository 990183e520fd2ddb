"""The documentation page of all metrics, generated from their declarations."""

from __future__ import annotations

from typing import Any

from survfuse.evaluation.metrics import Documented, Metric
from survfuse.tasks.loading import every_task

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
    boards = [board for task in every_task() for board in task.documented()]
    return HEAD + "".join(table(board) for board in boards)


def table(board: Documented) -> str:
    """The metrics of one kind of leaderboard."""
    head = f"\n## {board.heading}\n\nRows are ordered and compared by `{board.ranking.name}`.\n\n"
    return head + TABLE + "".join(line(metric) for metric in board.metrics)


def line(metric: Metric[Any, Any, Any]) -> str:
    """The row of one metric."""
    what = metric.plain.format(**FACTS) + (
        f" Convention: {metric.convention}." if metric.convention else ""
    )
    each = f"{metric.path}`{EACH[metric.each]}"
    cells = (f"`{each}", metric.title, what, metric.better, metric.interval.about)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
