"""By what the pages of a run order its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.evaluation.metrics import Metric
from survfuse.reporting import findings


@dataclass(frozen=True)
class Ranked:
    """How a leaderboard is ordered, compared and worded.

    metric: the ranking metric. key: where a row of evaluation.json has it. compared: the roles of
    rows that are compared with the reference. describe: the second line of a row.
    """

    metric: Metric[Any, Any, Any]
    key: str
    compared: Sequence[str]
    describe: Callable[[findings.Row], str]

    @property
    def headings(self) -> list[tuple[str, Sequence[str]]]:
        """The parts of the leaderboard, in its order: heading and roles."""
        return findings.headings(self.metric.noun)

    def value(self, row: findings.Row | None) -> float | None:
        """The ranking metric of a row; None where it has none."""
        value: float | None = (findings.metric(row, self.key) or {}).get("value")
        return value
