"""The drawings of the pages of a survival run.

Colours are from Okabe and Ito's set, which colour-blind readers can distinguish; line styles differ
as well, so that the curves survive a black-and-white printer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from survfuse.reporting.columns import Columns, columns_of
from survfuse.reporting.pictures.drawing import (
    MUTED,
    STYLE,
    WIDTH,
    Drawing,
    drawing,
    in_figure,
    legend_line,
)

GROUPS: dict[str, tuple[str, str, Any]] = {  # name, colour, line style
    "low": ("Lower", "#0072b2", "-"),
    "middle": ("Middle", "#00855f", (0, (5, 2))),
    "high": ("Higher", "#d55e00", (0, (5, 1.5, 1, 1.5))),
}
Groups = Sequence[Mapping[str, Any]]
PLOT = 2.1  # height of a survival plot, in inches
# Of the panels of several models: the plot, the room around it, and a line of counts.
PANEL, LEFT, OVER, UNDER, GAP, LEGEND, ROW = 1.6, 0.8, 0.26, 0.48, 0.2, 0.26, 0.155


def risk_groups(
    models: Mapping[str, tuple[str, Groups]], horizons: Sequence[float], least: int, name: str
) -> Drawing:
    """Kaplan-Meier curves of risk groups, a panel per model, with the same axes everywhere.

    `models`: by name the label and the groups, as from `disclosure.risk_group_rows`. Below each
    panel stand the patients at risk. From the first listed time at which fewer than `least`
    patients of a group are at risk, its curve ends and its counts are withheld. `name` must be
    unique on the page.
    """
    columns = 3 if len(models) not in (1, 2, 4) else 2
    lines = math.ceil(len(models) / columns)
    cell = (WIDTH - LEFT) / columns
    line_height = OVER + PANEL + UNDER + (len(GROUPS) + 1) * ROW
    height = LEGEND + lines * line_height
    times = listed_times(models)
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height))
        for index, (label, groups) in enumerate(models.values()):
            column, line = index % columns, index // columns
            below = height - LEGEND - line * line_height - OVER - PANEL
            place = (LEFT + column * cell, below, cell - GAP, PANEL)
            plot = figure.add_axes(in_figure(place, height))
            for group in groups:
                word, colour, style = GROUPS[group["group"]]
                step_curve(plot, group, colour, style, word, visible_until(group, least))
            survival_axes(plot, times[-1], times)
            plot.set(ylabel="Event-free, of 100" if column == 0 else "")
            plot.tick_params(labelleft=column == 0)
            plot.set_title(label, fontsize=9.5, loc="left", fontweight="bold")
            for horizon in horizons:
                plot.axvline(horizon, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
            at_risk_below(figure, plot, groups, least, column == 0)
        figure.text(0, 1 - 0.1 / height, "Predicted risk:", fontsize=8.5, va="center")
        legend_line(figure, 1.05, handles=[
            Line2D([], [], color=colour, linestyle=style, linewidth=1.8, label=word)
            for word, colour, style in GROUPS.values()
        ])  # fmt: skip
        title = "Observed survival by predicted risk"
        labels = ", ".join(label for label, _ in models.values())
        description = f"Kaplan-Meier curves by predicted risk, a panel for each of {labels}."
        return drawing(figure, name, title, title, description, risk_group_table(models, least))


def listed_times(models: Mapping[str, tuple[str, Groups]]) -> list[float]:
    """The times, in months, at which patients at risk are listed."""
    return sorted({one["time"] for _, groups in models.values() for one in groups[0]["at_risk"]})


def at_risk_below(figure: Figure, plot: Axes, groups: Groups, least: int, named: bool) -> None:
    """Write the patients at risk of each group below a panel; `named`: after the group's name."""
    height = figure.get_figheight()
    at, bottom = plot.get_xaxis_transform(), plot.get_position().y0
    for number, group in enumerate(groups, 1):
        y = bottom - (UNDER + number * ROW - ROW / 2) / height
        if named:
            word = GROUPS[group["group"]][0]
            figure.text(0, y, word, fontsize=8, va="center", fontweight="bold")
        counts = shown_counts(group, least)["n"]
        for entry, text in zip(group["at_risk"], counts, strict=True):
            place = (y - bottom) / plot.get_position().height
            plot.text(entry["time"], place, text, transform=at, fontsize=8, ha="center",
                      va="center")  # fmt: skip
    if named:
        y = bottom - (UNDER - ROW / 2) / height
        figure.text(0, y, "At risk", fontsize=8, va="center", color=MUTED)


def risk_group_table(models: Mapping[str, tuple[str, Groups]], least: int) -> Columns:
    """The steps of the curves as far as they are drawn, and the counts of every listed time."""
    rows: list[dict[str, Any]] = []
    for model, (label, groups) in models.items():
        for group in groups:
            named = {"model": model, "label": label}
            word, until = GROUPS[group["group"]][0], visible_until(group, least)
            rows += [{**named, **row} for row in curve_rows(group, word, until)]
            counts = shown_counts(group, least)
            rows += [
                {**named, "curve": word, "months": entry["time"], "at_risk": counts["n"][i],
                 "events": counts["events"][i], "censored": counts["censored"][i]}
                for i, entry in enumerate(group["at_risk"])
            ]  # fmt: skip
    return columns_of(rows)


def curve_rows(
    curve: Mapping[str, Sequence[float]], label: str, until: float
) -> list[dict[str, Any]]:
    """The steps of a Kaplan-Meier curve up to the time `until`, of 100 patients."""
    return [
        {
            "curve": label,
            "months": time,
            "event_free_of_100": 100 * curve["survival"][i],
            "low": 100 * curve["low"][i],
            "high": 100 * curve["high"][i],
        }
        for i, time in enumerate(curve["time"])
        if time <= until
    ]


def counts_table(models: Mapping[str, tuple[str, Groups]], least: int) -> dict[str, Any]:
    """The listed times, and by label the groups with their counts as far as they may be shown.

    Of each group `n` and `events`, None where withheld, and `at`: at risk, events and censored by
    each time.
    """
    return {
        "times": listed_times(models),
        "models": {
            label: [
                {
                    "group": GROUPS[group["group"]][0],
                    "n": group["n"],
                    "events": group["events"],
                    "at": list(zip(*shown_counts(group, least).values(), strict=True)),
                }
                for group in groups
            ]
            for label, groups in models.values()
        },
    }


def shown_counts(group: Mapping[str, Any], least: int) -> dict[str, list[str]]:
    """At risk (n), events and censored of a group at the listed times, as they may be shown."""
    cells: dict[str, list[str]] = {}
    for key in ("n", "events", "censored"):
        cells[key], shown = [], True
        for entry in group["at_risk"]:
            few = entry["n"] < least
            hidden_before, shown = not shown, group["n"] is not None and not few
            if shown and (key == "n" or group["events"] is not None):
                cells[key].append(str(entry[key]))
            else:
                cells[key].append(f"<{least}" if key == "n" and few and not hidden_before else "–")
    return cells


def step_curve(
    plot: Axes,
    curve: Mapping[str, Sequence[float]],
    colour: str,
    line: Any,
    label: str,
    until: float,
) -> None:
    """One Kaplan-Meier curve with its interval, up to the time `until`."""
    kept = [index for index, time in enumerate(curve["time"]) if time <= until]
    if not kept:
        return
    time = [curve["time"][index] for index in kept]
    parts = {key: [100 * curve[key][i] for i in kept] for key in ("survival", "low", "high")}
    if time[0] > 0:
        time = [0.0, *time]
        parts = {key: [100.0, *values] for key, values in parts.items()}
    if time[-1] < until and len(kept) < len(curve["time"]):
        time = [*time, until]
        parts = {key: [*values, values[-1]] for key, values in parts.items()}
    plot.fill_between(
        time, parts["low"], parts["high"], step="post", color=colour, alpha=0.13, linewidth=0
    )
    plot.step(
        time,
        parts["survival"],
        where="post",
        color=colour,
        linestyle=line,
        linewidth=1.8,
        label=label,
    )


def survival_axes(plot: Axes, last: float, ticks: Sequence[float] | None) -> None:
    """Axes of a survival plot: months, and event-free patients of 100."""
    plot.set(xlim=(0, last), ylim=(0, 101), xlabel="Months", ylabel="Event-free, of 100 patients")
    plot.set_xticks(ticks if ticks is not None else month_ticks(last))
    plot.set_yticks(range(0, 101, 25))
    plot.spines["left"].set_bounds(0, 100)


def month_ticks(last: float) -> list[float]:
    """Ticks at whole half-years or years, at most nine of them."""
    step = next(step for step in (3, 6, 12, 24, 60, 120, 240) if last / step <= 9)
    return [float(step * index) for index in range(int(last // step) + 1)]


def visible_until(group: Mapping[str, Any], least: int) -> float:
    """The first listed time with fewer than `least` patients at risk; infinity if there is none.

    The steps of a curve disclose how many patients it is of, so that a group of withheld size has
    none.
    """
    if group["n"] is None:
        return 0.0
    return next((entry["time"] for entry in group["at_risk"] if entry["n"] < least), math.inf)
