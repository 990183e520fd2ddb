"""Predicted against observed, as small multiples: a column per row of the leaderboard."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.reporting.columns import columns_of
from survfuse.reporting.pictures.drawing import (
    MUTED,
    STYLE,
    WIDTH,
    Drawing,
    drawing,
    in_figure,
)

OVER, UNDER, GAP = 0.42, 0.45, 0.22  # inches
LEFT, LINE_LABEL = 0.55, 0.55  # before the panels; and before that, where lines have labels
LARGEST_SIDE = 2.1
POINT = ("predicted", "observed", "low", "high")

Points = Sequence[Mapping[str, Any]]  # of a panel: shares, and `n` patients


def calibration_panels(
    panels: Mapping[str, Mapping[str, Points]], models: Mapping[str, str], name: str
) -> Drawing:
    """Observed against predicted events, both of 100, with the same axes everywhere.

    `panels`: by what stands before a line of panels (the horizon, or nothing) and by model the
    groups of patients with similar predictions. `models`: their labels.
    """
    shown = [model for model in models if any(line.get(model) for line in panels.values())]
    every = [point for line in panels.values() for points in line.values() for point in points]
    top = min(100, 20 * math.ceil(5 * max(max(p["predicted"], p["high"]) for p in every)))
    left = LEFT + (LINE_LABEL if any(panels) else 0)
    cell = (WIDTH - left) / len(shown)
    side = min(cell - GAP, LARGEST_SIDE)
    height = OVER + len(panels) * (side + GAP) - GAP + UNDER
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height))
        for row, (before, line) in enumerate(panels.items()):
            below = height - OVER - (row + 1) * side - row * GAP
            for column, model in enumerate(shown):
                place = (left + column * (side + GAP), below, side, side)
                plot = figure.add_axes(in_figure(place, height))
                panel(plot, line.get(model, ()), top)
                plot.tick_params(labelleft=column == 0, labelbottom=row == len(panels) - 1)
                if row == 0:
                    words = textwrap.fill(models[model], max(10, int(side * 12)))
                    plot.set_title(words, fontsize=9, loc="left", fontweight="bold")
            middle = (below + side / 2) / height
            figure.text(0, middle, before, fontsize=9, va="center", fontweight="bold")
        across = left + (len(shown) * (side + GAP) - GAP) / 2
        figure.text(across / WIDTH, 0.08 / height, "Predicted, of 100", ha="center")
        inner = (height - OVER + UNDER) / 2 / height
        figure.text((left - 0.4) / WIDTH, inner, "Observed, of 100", rotation=90, va="center",
                    ha="center")  # fmt: skip
        rows = [
            {"model": model, "label": models[model], **({"at": before} if before else {}),
             **{key: 100 * point[key] for key in POINT}, "patients": point["n"]}
            for before, line in panels.items()
            for model in shown
            for point in line.get(model, ())
        ]  # fmt: skip
        title, labels = "Calibration", ", ".join(models[model] for model in shown)
        described = f"Calibration: observed against predicted, a column for each of {labels}."
        return drawing(figure, name, title, title, described, columns_of(rows))


def panel(plot: Axes, points: Points, top: int) -> None:
    """One panel: the diagonal, and a point with its interval for each group of patients."""
    plot.plot([0, top], [0, top], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    for point in points:
        x = 100 * point["predicted"]
        limits = [100 * point["low"], 100 * point["high"]]
        plot.plot([x, x], limits, color="#0072b2", linewidth=1.2)
        plot.plot(x, 100 * point["observed"], "o", color="#0072b2", markersize=4.5, clip_on=False)
    ticks = range(0, top + 1, 25 if top == 100 else 20)
    plot.set(xlim=(0, top), ylim=(0, top), xticks=ticks, yticks=ticks)


def shown_points(points: Points | None, least: int) -> list[Mapping[str, Any]]:
    """The points of at least `least` patients that have an interval."""
    return [one for one in points or () if one["n"] >= least and one["low"] is not None]
