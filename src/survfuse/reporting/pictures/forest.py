"""Forest plots as figures for files; the pages have them in their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from survfuse.reporting.columns import Columns, columns_of
from survfuse.reporting.pictures.drawing import (
    INK,
    MUTED,
    STYLE,
    WIDTH,
    Drawing,
    drawing,
    in_figure,
    legend_line,
)
from survfuse.reporting.wording import decimal

LINE, HEADING = 0.36, 0.28  # heights in inches
LEFT, RIGHT, OVER, UNDER = 2.75, 1.75, 0.34, 0.5
MARKERS = {"plain": "o", "combining": "s", "aside": "o"}


@dataclass(frozen=True)
class ForestRow:
    """A line of a forest plot: an estimate as evaluation.json holds it, and how it is marked."""

    part: str  # heading that it stands under; empty for a plot without headings
    label: str
    inputs: str  # in smaller print below the label
    estimate: Mapping[str, Any]
    sort: str  # plain, combining (a square), or aside (hollow: not for use)


def forest(
    rows: Sequence[ForestRow],
    lines: Mapping[str, tuple[float, str, Any]],
    limits: tuple[float, float],
    measure: str,
    name: str,
    title: str,
) -> Drawing:
    """Estimates with their intervals and, as small dots, those of single folds.

    `lines`: vertical lines by what they are, with their place, colour and line style. `limits` of
    the axis. `measure` is what is estimated.
    """
    parts = list(dict.fromkeys(row.part for row in rows))
    headings = sum(bool(part) for part in parts)
    inner = len(rows) * LINE + headings * HEADING
    height = OVER + inner + UNDER
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height))
        plot = figure.add_axes(in_figure((LEFT, UNDER, WIDTH - LEFT - RIGHT, inner), height))
        for label, (place, colour, style) in lines.items():
            plot.axvline(place, color=colour, linestyle=style, linewidth=1.2, label=label, zorder=1)
        y = 0.0
        for part in parts:
            if part:
                y -= HEADING
                figure.text(0, (UNDER + inner + y + 0.08) / height, part, fontsize=8.5,
                            fontweight="bold")  # fmt: skip
            for row in (row for row in rows if row.part == part):
                y -= LINE
                forest_line(figure, row, y + LINE / 2, (UNDER + inner + y + LINE / 2) / height)
        plot.set(xlim=limits, ylim=(-inner, 0), xlabel=measure)
        plot.set_yticks([])
        plot.spines["left"].set_visible(False)
        legend_line(figure, LEFT)
        described = f"{title}: {measure} with its interval for each row."
        return drawing(figure, name, title, title, described, forest_table(rows, measure))


def forest_line(figure: Figure, row: ForestRow, y: float, at: float) -> None:
    """One line: its label, the folds, the interval, the estimate, and these in numbers."""
    plot, found = figure.axes[0], row.estimate
    height = figure.get_size_inches()[1]
    shift = 0.065 / height if row.inputs else 0
    figure.text(0, at + shift, row.label, fontsize=9, va="center")
    if row.inputs:
        figure.text(0, at - shift, row.inputs, fontsize=7.5, va="center", color=MUTED)
    text = "not estimable"
    if found.get("value") is not None:
        folds = [value for value in found.get("per_fold") or [] if value is not None]
        plot.plot(folds, [y - 0.11] * len(folds), "o", color="#84909a", markersize=2.6)
        text = decimal(found["value"])
        if found.get("low") is not None and found.get("high") is not None:
            plot.plot([found["low"], found["high"]], [y, y], color=INK, linewidth=1.6)
            text += f" ({decimal(found['low'])} to {decimal(found['high'])})"
        colour = "#0b4f7d" if row.sort == "combining" else INK
        plot.plot(found["value"], y, MARKERS[row.sort], color=colour, markersize=6.5,
                  markerfacecolor="white" if row.sort == "aside" else colour)  # fmt: skip
    figure.text(1 - (RIGHT - 0.15) / WIDTH, at, text, fontsize=8.5, va="center")


def forest_table(rows: Sequence[ForestRow], measure: str) -> Columns:
    """The numbers of a forest plot: a row per estimate, and a column per fold."""
    folds = max((len(row.estimate.get("per_fold") or []) for row in rows), default=0)
    return columns_of(
        [
            {
                "part": row.part,
                "label": row.label,
                "inputs": row.inputs,
                "measure": measure,
                **{key: row.estimate.get(key) for key in ("value", "low", "high")},
                **{
                    f"fold_{number + 1}": value
                    for number, value in zip(
                        range(folds), row.estimate.get("per_fold") or [], strict=False
                    )
                },
            }
            for row in rows
        ]
    )
