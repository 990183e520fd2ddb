"""The forest plot of one row: its difference in every study, and the pooled one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from survfuse.artifacts.comparison import Difference, PooledDifference
from survfuse.reporting.columns import Columns, columns_of
from survfuse.reporting.pictures.drawing import (
    INK,
    MUTED,
    STYLE,
    WIDTH,
    Drawing,
    drawing,
    in_figure,
)
from survfuse.reporting.wording import decimal, listed

LINE, GAP, OVER, UNDER = 0.36, 0.12, 0.3, 0.72  # heights in inches
LEFT, RIGHT = 2.3, 2.45
HEADS = (
    (0, "left", "Study"),
    (WIDTH - RIGHT + 0.15, "left", "Difference"),
    (WIDTH - 0.02, "right", "Weight, of 100"),
)
LONGEST_NAME = 26  # of a study, in letters
COLOUR = "#0b4f7d"
LARGEST, SMALLEST = 11.0, 3.5  # sides of the squares, in points
DIGITS = 3


def pooled_forest(
    differences: Sequence[Difference],
    pooled: PooledDifference,
    sizes: Mapping[str, str],
    words: tuple[str, str, str],
) -> Drawing:
    """Differences with their intervals, squares by weight; below them the pooled mean.

    `sizes`: in smaller print below the names of studies. `words`: for the metric, the row and the
    reference.
    """
    metric, label, reference = words
    lines = len(differences) + 1 + (pooled["prediction_low"] is not None)
    inner = lines * LINE + GAP
    height = OVER + inner + UNDER
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height))
        plot = figure.add_axes(in_figure((LEFT, UNDER, WIDTH - LEFT - RIGHT, inner), height))
        plot.axvline(0, color=MUTED, linewidth=1.1, zorder=1)
        plot.axvline(pooled["value"], color=COLOUR, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        for place, side, head in HEADS:
            figure.text(place / WIDTH, (height - 0.12) / height, head, fontsize=8.5, va="center",
                        ha=side, color=MUTED)  # fmt: skip
        for number, one in enumerate(differences):
            y = -(number + 0.5) * LINE
            study_line(plot, one, y)
            in_words(figure, y, shortened(one["study"]), sizes[one["study"]], interval(one),
                     f"{100 * one['weight']:.0f}")  # fmt: skip
        y = -(len(differences) + 0.5) * LINE - GAP
        diamond(plot, pooled, y)
        studies = f"{pooled['n_studies']} studies"
        in_words(figure, y, "Mean over cohorts", studies, interval(pooled), "100", bold=True)
        if (low := pooled["prediction_low"]) is not None:
            high = pooled["prediction_high"]
            assert high is not None
            y -= LINE
            plot.plot([low, high], [y, y], color=COLOUR, linewidth=3, alpha=0.45,
                      solid_capstyle="butt")  # fmt: skip
            told = f"{decimal(low, DIGITS, True)} to {decimal(high, DIGITS, True)}"
            in_words(figure, y, "A new cohort", "prediction interval", told, "")
        axis(plot, pooled, inner, (metric, label, reference))
        name = f"differences_{pooled['metric']}"
        title = f"Difference in {metric}: {label} minus {reference}"
        return drawing(figure, name, title, title, description(differences, pooled, title),
                       forest_columns(differences, pooled))  # fmt: skip


def shortened(name: str) -> str:
    """A name that fits beside the plot: of a long one the beginning and the end."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half + 1 :]}"


def interval(found: Difference | PooledDifference) -> str:
    """A difference with its limits."""
    value, low, high = (
        decimal(number, DIGITS, signed=True)
        for number in (found["value"], found["low"], found["high"])
    )
    return f"{value} ({low} to {high})"


def study_line(plot: Axes, one: Difference, y: float) -> None:
    """The interval of a study, and a square whose area is its weight."""
    side = SMALLEST + (LARGEST - SMALLEST) * one["weight"] ** 0.5
    plot.plot([one["low"], one["high"]], [y, y], color=INK, linewidth=1.5)
    plot.plot(one["value"], y, "s", color=INK, markersize=side)


def diamond(plot: Axes, pooled: PooledDifference, y: float) -> None:
    """The pooled mean, as wide as its interval."""
    corners = [pooled["low"], pooled["value"], pooled["high"], pooled["value"]]
    plot.fill(corners, [y, y + 0.11, y, y - 0.11], color=COLOUR)


def in_words(
    figure: Figure, y: float, name: str, below: str, told: str, weight: str, bold: bool = False
) -> None:
    """What stands beside a line at the height `y` of the plot: name, difference and weight."""
    height = figure.get_size_inches()[1]
    at = (height - OVER + y) / height
    weight_of = "bold" if bold else "normal"
    shift = 0.065 / height
    figure.text(0, at + shift, name, fontsize=9, va="center", fontweight=weight_of,
                parse_math=False)  # fmt: skip
    figure.text(0, at - shift, below, fontsize=7.5, va="center", color=MUTED)
    figure.text((WIDTH - RIGHT + 0.15) / WIDTH, at, told, fontsize=8.5, va="center",
                fontweight=weight_of)  # fmt: skip
    figure.text((WIDTH - 0.02) / WIDTH, at, weight, fontsize=8.5, va="center", ha="right")


def axis(plot: Axes, pooled: PooledDifference, inner: float, words: tuple[str, str, str]) -> None:
    """Limits, and on which side of 0 the row is better."""
    metric, label, reference = words
    plot.set(ylim=(-inner, 0), xlabel=f"Difference in {metric}")
    plot.set_yticks([])
    plot.xaxis.set_major_locator(MaxNLocator(5))
    plot.spines["left"].set_visible(False)
    low, high = plot.get_xlim()
    plot.set_xlim(min(low, 0), max(high, 0))
    sides = (reference, label) if pooled["better"] == "higher" else (label, reference)
    for place, name, side in ((0.0, sides[0], "left"), (1.0, sides[1], "right")):
        text = f"← {name} better" if side == "left" else f"{name} better →"
        plot.annotate(text, (place, 0), (0, -38), "axes fraction", "offset points", fontsize=8,
                      ha=side, va="top", color=MUTED, annotation_clip=False)  # fmt: skip


def description(differences: Sequence[Difference], pooled: PooledDifference, title: str) -> str:
    """The plot in a sentence, for screen readers."""
    studies = listed([f"{one['study']} {interval(one)}" for one in differences])
    return f"{title}. {studies}; mean over cohorts {interval(pooled)}."


def forest_columns(differences: Sequence[Difference], pooled: PooledDifference) -> Columns:
    """The numbers of the plot."""
    rows: list[Mapping[str, Any]] = [*differences, {**pooled, "study": "mean over cohorts"}]
    if pooled["prediction_low"] is not None:
        limits = {"low": pooled["prediction_low"], "high": pooled["prediction_high"]}
        rows.append({"study": "a new cohort", **limits})
    keys = ("study", "value", "low", "high", "weight")
    return columns_of({key: row.get(key) for key in keys} for row in rows)
