"""Differences between rows of a leaderboard, each of which a page prints once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from survfuse.artifacts.evaluation import Comparison, Evaluation

Row = Mapping[str, Any]


@dataclass(frozen=True)
class OtherDifferences:
    """Differences from other rows than the reference, which the leaderboard has no column for."""

    against: Mapping[str, str]  # by model the label of what rows are compared with
    rows: list[tuple[Row, Mapping[str, Comparison]]]  # and its comparisons, by what it is with
    reasons: list[tuple[str, list[str]]]  # why some are lacking, and which


def other_differences(evaluation: Evaluation, metric: str) -> OtherDifferences | None:
    """The differences in a metric from other rows than the reference; None where there are none."""
    found = [
        one
        for one in evaluation["comparisons"]
        if one["metric"] == metric and one["reference"] != evaluation["reference"]
    ]
    others = {one["reference"] for one in found}
    rows: list[tuple[Row, Mapping[str, Comparison]]] = []
    for row in evaluation["rows"]:
        mine = {one["reference"]: one for one in found if one["model"] == row["model"]}
        if mine:
            rows.append((row, mine))
    labels = {row["model"]: row["label"] for row in evaluation["rows"] if row["model"] in others}
    return OtherDifferences(labels, rows, reasons(evaluation, found)) if rows else None


def reasons_without(evaluation: Evaluation, metric: str) -> list[tuple[str, list[str]]]:
    """Why differences from the reference are lacking, each reason with the rows it applies to."""
    return reasons(
        evaluation,
        (
            one
            for one in evaluation["comparisons"]
            if one["metric"] == metric and one["reference"] == evaluation["reference"]
        ),
    )


def reasons(
    evaluation: Evaluation, comparisons: Iterable[Comparison]
) -> list[tuple[str, list[str]]]:
    """Why comparisons have no difference or no interval, with the pairs of rows."""
    labels = {row["model"]: row["label"] for row in evaluation["rows"]}
    found: dict[str, list[str]] = {}
    for one in comparisons:
        if one.get("reason"):
            pair = f"{labels[one['model']]} and {labels[one['reference']]}"
            found.setdefault(one["reason"], []).append(pair)
    return list(found.items())
