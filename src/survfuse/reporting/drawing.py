"""How the drawings of the reports look, and how they come into a page: inline SVG, text as text."""

from __future__ import annotations

import io
import re

from markupsafe import Markup
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1c2733", "#56626e", "#dfe4e8"
WIDTH = 8.4  # of every figure, in inches
STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same layout on every machine
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "survfuse",
}


def in_figure(
    place: tuple[float, float, float, float], height: float
) -> tuple[float, float, float, float]:
    """A rectangle (left, bottom, width, height) in inches as shares of the figure."""
    left, bottom, wide, high = place
    return left / WIDTH, bottom / height, wide / WIDTH, high / height


def legend_line(figure: Figure, left: float, reverse: bool = False) -> None:
    """The legend as one line at the top of the figure, from `left` inches on."""
    figure.legend(
        loc="upper left",
        bbox_to_anchor=(left / WIDTH, 1),
        ncols=3,
        fontsize=8.5,
        handlelength=2.4,
        columnspacing=1.4,
        borderaxespad=0,
        borderpad=0.15,
        reverse=reverse,
    )


def svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an SVG element to stand inside a page.

    Text stays text; identifiers are prefixed with `name`, which must be unique on the page; the
    element scales with the page and tells screen readers what it shows.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :].strip()
    drawing = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", drawing, flags=re.S)
    drawing = re.sub(r' xmlns(:xlink)?="[^"]*"', "", drawing)
    drawing = drawing.replace("xlink:href=", "href=")
    drawing = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawing)
    box = re.search(r'viewBox="([^"]*)"', drawing)
    assert box is not None, "matplotlib always writes a viewBox"
    opening = Markup('<svg viewBox="{}" role="img" aria-label="{}">').format(box[1], description)
    return Markup(re.sub(r"^<svg[^>]*>", lambda _: opening, drawing))
