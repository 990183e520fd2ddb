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
from survfuse.reporting.wording import plural

GROUPS: dict[str, tuple[str, str, Any]] = {  # name, colour, line style
    "low": ("Lower", "#0072b2", "-"),
    "middle": ("Middle", "#00855f", (0, (5, 2))),
    "high": ("Higher", "#d55e00", (0, (5, 1.5, 1, 1.5))),
}
PLOT = 2.1  # height of a survival plot
POINT = ("predicted", "observed", "low", "high")


def risk_groups(
    groups: Sequence[Mapping[str, Any]],
    horizons: Sequence[float],
    least: int,
    label: str,
    name: str,
) -> Drawing:
    """Kaplan-Meier curves of risk groups over their table of numbers.

    `groups` as from `disclosure.risk_group_rows`. The table lists at risk, events and censored
    (Morris et al., BMJ Open 2019;9:e030215). From the first listed time at which fewer than `least`
    patients of a group are at risk, its curve ends and its counts are withheld. `label` is the
    model's; `name` must be unique on the page.
    """
    row, gap, left, under, over = 0.165, 0.09, 1.75, 0.5, 0.32  # inches
    table = len(groups) * (3 * row + gap)
    height = table + under + PLOT + over
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height))
        place = (left, table + under, WIDTH - left - 0.15, PLOT)
        plot = figure.add_axes(in_figure(place, height))
        for group in groups:
            word, colour, line = GROUPS[group["group"]]
            text = f"{word} ({counts_in_words(group)})"
            step_curve(plot, group, colour, line, text, visible_until(group, least))
        times = [entry["time"] for entry in groups[0]["at_risk"]]
        survival_axes(plot, times[-1], times)
        for horizon in horizons:
            plot.axvline(horizon, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
        figure.text(0, 1 - 0.1 / height, "Predicted risk:", fontsize=8.5, va="center")
        legend_line(figure, 1.05)
        y = table - 0.05
        for group in groups:
            y = counts_rows(figure, plot, group, least, y, (row, height)) - gap
        described = "; ".join(
            f"{GROUPS[group['group']][0]}: {counts_in_words(group)}" for group in groups
        )
        title = f"Observed survival by predicted risk: {label}"
        description = f"Kaplan-Meier curves by predicted risk. {described}."
        return drawing(figure, name, label, title, description, risk_group_table(groups, least))


def risk_group_table(groups: Sequence[Mapping[str, Any]], least: int) -> Columns:
    """The steps of the curves as far as they are drawn, and the counts below them."""
    rows: list[dict[str, Any]] = []
    for group in groups:
        until = visible_until(group, least)
        rows += curve_rows(group, GROUPS[group["group"]][0], until)
        counts = shown_counts(group, least)
        rows += [
            {"curve": GROUPS[group["group"]][0], "months": entry["time"],
             "at_risk": counts["n"][i], "events": counts["events"][i],
             "censored": counts["censored"][i]}
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


def counts_in_words(group: Mapping[str, Any]) -> str:
    """Patients and events of a risk group, where they may be shown.

    Withheld events are not named: three such labels are wider than a page.
    """
    if group["n"] is None:
        return "counts withheld"
    patients, events = plural(group["n"], "patient"), group["events"]
    return patients if events is None else f"{patients}, {plural(events, 'event')}"


def counts_rows(
    figure: Figure,
    plot: Axes,
    group: Mapping[str, Any],
    least: int,
    y: float,
    size: tuple[float, float],
) -> float:
    """Write the three rows of numbers of one group below the plot; returns the next free height."""
    row, height = size
    label, colour, line = GROUPS[group["group"]]
    at = plot.get_xaxis_transform()
    figure.text(0, y / height, label, fontsize=8.5, va="center", fontweight="bold")
    figure.add_artist(
        Line2D(
            [0, 0.32 / WIDTH], [(y - row) / height] * 2, color=colour, linestyle=line, linewidth=2
        )
    )
    box = plot.get_position()
    counts = shown_counts(group, least)
    for key, title in (("n", "At risk"), ("events", "Events"), ("censored", "Censored")):
        figure.text(0.85 / WIDTH, y / height, title, fontsize=8.5, va="center", color=MUTED)
        for entry, text in zip(group["at_risk"], counts[key], strict=True):
            below = (y / height - box.y0) / box.height
            plot.text(entry["time"], below, text, transform=at, fontsize=8.5, ha="center",
                      va="center")  # fmt: skip
        y -= row
    return y


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


def calibration(
    panels: Mapping[float, Sequence[Mapping[str, Any]]], label: str, name: str
) -> Drawing:
    """Predicted against observed events per 100 patients, one panel per horizon (months)."""
    columns = min(max(len(panels), 3), 4)
    lines = math.ceil(len(panels) / columns)
    cell = WIDTH / columns
    side = min(cell - 0.7, 2.1)
    height = lines * (side + 0.75)
    largest = max(max(p["predicted"], p["high"]) for points in panels.values() for p in points)
    top = min(100, 20 * math.ceil(5 * largest))
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height))
        for index, (horizon, points) in enumerate(panels.items()):
            below = height - (index // columns + 1) * (side + 0.75) + 0.48
            place = (0.55 + index % columns * cell, below, side, side)
            plot = figure.add_axes(in_figure(place, height))
            calibration_panel(plot, points, top)
            plot.set_title(f"By {horizon:g} months", fontsize=9.5, loc="left", fontweight="bold")
            if index % columns == 0:
                plot.set_ylabel("Observed, of 100")
        rows = [
            {"months": horizon, **{key: 100 * point[key] for key in POINT}, "patients": point["n"]}
            for horizon, points in panels.items()
            for point in points
        ]
        title = f"Calibration of {label}"
        description = f"{title}: observed against predicted events."
        return drawing(figure, name, label, title, description, columns_of(rows))


def calibration_panel(plot: Axes, points: Sequence[Mapping[str, Any]], top: int) -> None:
    """One horizon: the diagonal, and a point with its interval for each group of patients."""
    plot.plot([0, top], [0, top], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    for point in points:
        x = 100 * point["predicted"]
        limits = [100 * point["low"], 100 * point["high"]]
        plot.plot([x, x], limits, color="#0072b2", linewidth=1.2)
        plot.plot(x, 100 * point["observed"], "o", color="#0072b2", markersize=5, clip_on=False)
    plot.set(xlim=(0, top), ylim=(0, top), xlabel="Predicted, of 100")
    ticks = range(0, top + 1, 20)
    plot.set_xticks(ticks)
    plot.set_yticks(ticks)


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
