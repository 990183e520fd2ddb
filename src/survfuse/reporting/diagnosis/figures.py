"""The drawings of the pages of a diagnosis: ROC and decision curves, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.reporting.columns import Columns, columns_of
from survfuse.reporting.pictures.drawing import (
    HALF,
    INK,
    MUTED,
    STYLE,
    Drawing,
    drawing,
    in_figure,
)

# Colour and line style by order: they differ without colour as well.
LINES: tuple[tuple[str, Any], ...] = (
    ("#7a858f", "-"),
    ("#0072b2", (0, (5, 2))),
    ("#d55e00", "-"),
    ("#00855f", (0, (5, 1.5, 1, 1.5))),
    ("#8a5a83", (0, (1, 1))),
)
SIDE = 3.1  # height of a plot, in inches


def roc(rows: Sequence[Mapping[str, Any]], name: str) -> Drawing:
    """Sensitivity against false alarms, both of 100, for a few rows."""
    height = SIDE + 0.55
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(HALF, height))
        plot = figure.add_axes(in_figure((0.6, 0.48, SIDE, SIDE), height, HALF))
        plot.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        for (colour, line), row in zip(LINES, rows, strict=False):
            x = [100 * point["false_alarms"] for point in row["roc"]]
            y = [100 * point["sensitivity"] for point in row["roc"]]
            label = f"{row['label']}: {row['discrimination']['value']:.2f}"
            plot.plot(x, y, color=colour, linestyle=line, linewidth=1.9, label=label)
        percent_axes(plot, "False alarms, of 100 without", "Found, of 100 with")
        plot.legend(loc="lower right", fontsize=8, title="AUROC", title_fontsize=8,
                    alignment="left", handlelength=2.2, borderaxespad=0.2)  # fmt: skip
        data = points_of(rows, "roc", ("false_alarms", "sensitivity"))
        title = "ROC curves"
        return drawing(figure, name, title, title, "ROC curves, averaged over folds.", data)


def points_of(rows: Sequence[Mapping[str, Any]], curve: str, keys: Sequence[str]) -> Columns:
    """The points of a curve of each row."""
    return columns_of(
        [
            {"model": row["model"], "label": row["label"], **{key: point[key] for key in keys}}
            for row in rows
            for point in row[curve]
        ]
    )


def percent_axes(plot: Axes, x: str, y: str) -> None:
    """Both axes from 0 to 100."""
    plot.set(xlim=(0, 100), ylim=(0, 100.5), xlabel=x, ylabel=y)
    plot.set_xticks(range(0, 101, 20))
    plot.set_yticks(range(0, 101, 20))


def decision(rows: Sequence[Mapping[str, Any]], name: str) -> Drawing:
    """Net benefit per 100 patients by threshold, beside treating all and treating none."""
    height = SIDE + 0.55
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(HALF, height))
        plot = figure.add_axes(in_figure((0.6, 0.48, HALF - 0.75, SIDE), height, HALF))
        curve = rows[0]["decision_curve"]
        x = [100 * point["threshold"] for point in curve]
        everybody = [100 * point["treat_all"]["value"] for point in curve]
        plot.axhline(0, color=INK, linewidth=1, label="Act on nobody")
        plot.plot(x, everybody, color=MUTED, linewidth=1.2, linestyle=(0, (1, 1.5)),
                  label="Act on everybody")  # fmt: skip
        highest, lowest = max(everybody), 0.0
        for (colour, line), row in zip(LINES, rows, strict=False):
            worth = [100 * point["model"]["value"] for point in row["decision_curve"]]
            plot.plot(x, worth, color=colour, linestyle=line, linewidth=1.9, marker="o",
                      markersize=3.5, label=row["label"])  # fmt: skip
            highest, lowest = max(highest, *worth), min(lowest, *worth)
        room = 0.08 * (highest - lowest or 1)
        plot.set(xlim=(min(x) - 1, max(x) + 1), ylim=(max(lowest, -5) - room, highest + room),
                 xlabel="Threshold: act from this probability on, of 100",
                 ylabel="Net benefit per 100")  # fmt: skip
        plot.legend(loc="best", fontsize=8, handlelength=2.2, borderaxespad=0.2)
        worth = [
            {**row, "decision_curve": [
                {"threshold": point["threshold"], "net_benefit": point["model"]["value"],
                 "act_on_everybody": point["treat_all"]["value"]}
                for point in row["decision_curve"]
            ]}
            for row in rows
        ]  # fmt: skip
        data = points_of(worth, "decision_curve", ("threshold", "net_benefit", "act_on_everybody"))
        title = "Decision curves"
        return drawing(figure, name, title, title, "Decision curves.", data)
