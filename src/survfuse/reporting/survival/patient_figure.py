"""The expected course of one patient over what was observed in the cohort.

What was observed is the same for all patients of a risk group, so it is drawn once for them; what
is predicted for a patient is drawn alone and laid over it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from survfuse.reporting.columns import columns_of
from survfuse.reporting.inputs import Prediction
from survfuse.reporting.pictures.drawing import (
    INK,
    PNG_DPI,
    STYLE,
    WIDTH,
    Drawing,
    elements,
    in_figure,
    inline_svg,
    legend_line,
    pixels,
)
from survfuse.reporting.survival.figures import (
    GROUPS,
    PLOT,
    curve_rows,
    step_curve,
    survival_axes,
    visible_until,
)

HEIGHT = PLOT + 0.85
PREDICTED = "Such patients, estimated"
ALL = "All patients, observed"


@dataclass(frozen=True)
class Ground:
    """What was observed, drawn once, and an empty plot of the same place to draw over it."""

    svg: Markup
    picture: Image.Image
    rows: list[dict[str, Any]]  # of the table of numbers
    over: Figure
    plot: Axes


@dataclass(frozen=True)
class Courses:
    """What the courses of all patients of a run share.

    `cohort`: the observed curve of all patients. `horizons`: those with an estimate, in months.
    """

    cohort: Mapping[str, Sequence[float]]
    horizons: Sequence[float]
    least: int
    grounds: dict[tuple[str | None, float], Ground] = field(default_factory=dict)

    def drawing(self, prediction: Prediction, group: Mapping[str, Any] | None) -> Drawing:
        """The course of one patient, of a risk group as from `disclosure.risk_group_rows`."""
        last = max([*prediction.risks, *self.horizons])
        key = (None if group is None else group["group"], last)
        with matplotlib.style.context(["default", STYLE]):
            if key not in self.grounds:
                self.grounds[key] = ground(self, group, last)
            return laid_over(self.grounds[key], prediction)


def ground(shared: Courses, group: Mapping[str, Any] | None, last: float) -> Ground:
    """Draw the curves of the cohort and of a risk group up to `last` months."""
    figure = Figure(figsize=(WIDTH, HEIGHT))
    place = in_figure((0.6, 0.5, WIDTH - 0.75, PLOT), HEIGHT)
    plot = figure.add_axes(place)
    step_curve(plot, shared.cohort, "#7a858f", "-", ALL, last)
    rows = curve_rows(shared.cohort, ALL, last)
    if group is not None:
        label, colour, line = GROUPS[group["group"]]
        text = f"{label} third of the estimates, observed"
        until = min(last, visible_until(group, shared.least))
        step_curve(plot, group, colour, line, text, until)
        rows += curve_rows(group, text, until)
    plot.plot([], [], color=INK, linewidth=2.4, label=PREDICTED)
    survival_axes(plot, last, None)
    legend_line(figure, 0.6, reverse=True)
    over = Figure(figsize=(WIDTH, HEIGHT))
    empty = over.add_axes(place)
    survival_axes(empty, last, None)
    empty.set_axis_off()
    description = "Estimated survival of such patients over the observed survival."
    return Ground(inline_svg(figure, "curve", description), pixels(figure), rows, over, empty)


def laid_over(ground: Ground, prediction: Prediction) -> Drawing:
    """Draw the estimates of one patient, with their intervals, over what was observed."""
    for line in list(ground.plot.lines):
        line.remove()
    rows: list[dict[str, Any]] = [{"curve": PREDICTED, "months": 0.0, "event_free_of_100": 100.0}]
    for months, risk in sorted(prediction.risks.items()):
        limits = [100 - 100 * risk.high, 100 - 100 * risk.low]
        rows.append(
            {
                "curve": PREDICTED,
                "months": months,
                "event_free_of_100": 100 - 100 * risk.risk,
                "low": limits[0],
                "high": limits[1],
            }
        )
        ground.plot.plot([months] * 2, limits, color=INK, linewidth=1.4, marker="_",
                         markersize=9)  # fmt: skip
    times = [row["months"] for row in rows]
    event_free = [row["event_free_of_100"] for row in rows]
    ground.plot.plot(times, event_free, color=INK, linewidth=2.4)
    ground.plot.plot(times[1:], event_free[1:], "o", color=INK, markersize=5.5,
                     markerfacecolor="white", markeredgewidth=1.6)  # fmt: skip
    own = elements(ground.over, "own")
    white = Image.new("RGBA", ground.picture.size, "white")
    for layer in (ground.picture, pixels(ground.over)):
        white.alpha_composite(layer)
    return Drawing(
        name="expected_course",
        label="Expected course",
        title="Expected course",
        svg=Markup(ground.svg.removesuffix("</svg>")) + own + Markup("</svg>"),
        data=columns_of([*ground.rows, *rows]),
        save_png=lambda path: white.convert("RGB").save(
            path, dpi=(PNG_DPI, PNG_DPI), compress_level=2
        ),
    )
