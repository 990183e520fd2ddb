"""Calibration and decision curves of a package in another cohort, a panel for each horizon."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.reporting.columns import columns_of
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
from survfuse.reporting.wording import capitalize_first

# Colour, line and marker by order: they differ without colour as well.
Look = tuple[str, Any, str]
LOOKS: tuple[Look, ...] = (
    ("#0072b2", "-", "o"),
    ("#d55e00", (0, (5, 2)), "s"),
    ("#7a858f", (0, (1, 1)), "^"),
)
COLUMNS = 3
TOP = 0.5  # room for the legend, in inches
Panels = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]  # by heading and label


def panel_grid(figure: Figure, headings: Sequence[str], size: tuple[float, float]) -> list[Axes]:
    """Axes of one size, three to a line, below the legend."""
    wide, high = size
    height = figure.get_size_inches()[1]
    made = []
    for index, heading in enumerate(headings):
        below = height - TOP - (index // COLUMNS + 1) * (high + 0.75) + 0.48
        left = 0.58 + index % COLUMNS * (WIDTH / COLUMNS)
        plot = figure.add_axes(in_figure((left, below, wide, high), height))
        plot.set_title(capitalize_first(heading), fontsize=9.5, loc="left", fontweight="bold")
        made.append(plot)
    return made


def sized(panels: int) -> tuple[Figure, tuple[float, float]]:
    """A figure for so many panels, and the size of one."""
    side = WIDTH / COLUMNS - 0.72
    lines = math.ceil(panels / COLUMNS)
    return Figure(figsize=(WIDTH, TOP + lines * (side + 0.75))), (side, side)


def calibration(panels: Panels, label: str) -> Drawing:
    """Observed against predicted, of 100; a point with its interval for each group of patients."""
    points = [one for series in panels.values() for curve in series.values() for one in curve]
    largest = max(max(one["predicted"], one["high"]) for one in points)
    top = min(100, 20 * math.ceil(5 * largest))
    with matplotlib.style.context(["default", STYLE]):
        figure, size = sized(len(panels))
        plots = panel_grid(figure, list(panels), size)
        looks = looks_of(name for series in panels.values() for name in series)
        for number, (plot, series) in enumerate(zip(plots, panels.values(), strict=True)):
            plot.plot([0, top], [0, top], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
            for name, curve in series.items():
                colour, _, marker = looks[name]
                for one in curve:
                    x, limits = 100 * one["predicted"], [100 * one["low"], 100 * one["high"]]
                    plot.plot([x, x], limits, color=colour, linewidth=1.1)
                plot.plot([100 * one["predicted"] for one in curve],
                          [100 * one["observed"] for one in curve], marker, color=colour,
                          markersize=4.5, clip_on=False)  # fmt: skip
            plot.set(xlim=(0, top), ylim=(0, top), xlabel="Predicted, of 100")
            plot.set_xticks(range(0, top + 1, 20))
            plot.set_yticks(range(0, top + 1, 20))
            if number % COLUMNS == 0:
                plot.set_ylabel("Observed, of 100")
        name_once(
            plots[0], {name: (colour, "", marker) for name, (colour, _, marker) in looks.items()}
        )
        legend_line(figure, 0.55)
        rows = [
            {"panel": heading, "prediction": name, "predicted": 100 * one["predicted"],
             **{key: 100 * one[key] for key in ("observed", "low", "high")}, "n": one["n"]}
            for heading, series in panels.items()
            for name, curve in series.items()
            for one in curve
        ]  # fmt: skip
        title = f"Calibration of {label}"
        description = f"{title} in the other cohort: observed against predicted."
        return drawing(figure, "calibration", "Calibration", title, description, columns_of(rows))


def decisions(panels: Mapping[str, Sequence[Mapping[str, Any]]], labels: Mapping[str, str],
              label: str) -> Drawing:  # fmt: skip
    """Net benefit per 100 patients by threshold, beside acting on everybody and on nobody.

    `panels`: the decision curve by heading. `labels`: of the predictions that are drawn.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure, size = sized(len(panels))
        rows = list[dict[str, Any]]()
        looks = looks_of(
            labels[name] for curve in panels.values() for name in labels if drawn(name, curve)
        )
        plots = panel_grid(figure, list(panels), size)
        for number, (plot, (heading, curve)) in enumerate(zip(plots, panels.items(), strict=True)):
            x = [100 * point["threshold"] for point in curve]
            lines = {"Act on everybody": [100 * p["act_on_everybody"]["value"] for p in curve]}
            plot.axhline(0, color=INK, linewidth=1)
            plot.plot(x, lines["Act on everybody"], color=MUTED, linewidth=1.2,
                      linestyle=(0, (1, 1.5)),
                      label=None if number else "Act on everybody")  # fmt: skip
            for name in (name for name in labels if drawn(name, curve)):
                colour, line, marker = looks[labels[name]]
                worth = [100 * point["net_benefit"][name]["value"] for point in curve]
                lines[labels[name]] = worth
                plot.plot(x, worth, color=colour, linestyle=line, linewidth=1.6, marker=marker,
                          markersize=3.5)  # fmt: skip
            limits(plot, lines.values())
            plot.set_xlabel("Threshold, of 100")
            if number % COLUMNS == 0:
                plot.set_ylabel("Net benefit per 100")
            rows += [
                {"panel": heading, "prediction": name, "threshold": at, "net_benefit": value}
                for name, worth in lines.items()
                for at, value in zip(x, worth, strict=True)
            ]
        name_once(plots[0], looks)
        legend_line(figure, 0.55)
        title = f"Decision curves of {label}"
        description = f"{title} in the other cohort."
        return drawing(figure, "decisions", "Decision curves", title, description, columns_of(rows))


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """The look of each name, the same in all panels of a figure."""
    return dict(zip(dict.fromkeys(names), LOOKS, strict=False))


def drawn(name: str, curve: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a decision curve has a prediction."""
    return name in curve[0]["net_benefit"]


def name_once(plot: Axes, looks: Mapping[str, Look]) -> None:
    """Put every name into the legend, even of a line that the first panel has not."""
    for name, (colour, line, marker) in looks.items():
        plot.plot([], [], color=colour, linestyle=line, marker=marker, markersize=4, label=name)


def limits(plot: Axes, lines: Any) -> None:
    """From a little below 0 to the highest line; what falls far below is cut off."""
    values = [value for line in lines for value in line]
    highest, lowest = max(*values, 0.0), min(*values, 0.0)
    floor = max(lowest, -0.3 * highest - 1)
    room = 0.06 * (highest - floor or 1)
    plot.set_ylim(floor - room, highest + room)
