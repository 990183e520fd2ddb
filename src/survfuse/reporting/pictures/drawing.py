"""How the drawings of the reports look, and how they come into a page and into files.

In a page they are inline SVG, text as text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from PIL import Image

from survfuse.reporting.columns import Columns

INK, MUTED, GRID = "#1c2733", "#56626e", "#dfe4e8"
WIDTH, HALF = 8.4, 4.1  # of a figure, and of one of two side by side, in inches
PNG_DPI = 200
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
    place: tuple[float, float, float, float], height: float, width: float = WIDTH
) -> tuple[float, float, float, float]:
    """A rectangle (left, bottom, width, height) in inches as shares of the figure."""
    left, bottom, wide, high = place
    return left / width, bottom / height, wide / width, high / height


def legend_line(
    figure: Figure, left: float, reverse: bool = False, handles: Sequence[Artist] | None = None
) -> None:
    """The legend as one line at the top of the figure, from `left` inches on.

    `handles`: what it names, where that is not everything with a label.
    """
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(left / figure.get_figwidth(), 1),
        ncols=3,
        fontsize=8.5,
        handlelength=2.4,
        columnspacing=1.4,
        borderaxespad=0,
        borderpad=0.15,
        reverse=reverse,
    )


@dataclass(frozen=True)
class Drawing:
    """A figure for a page and for files of its own, with the numbers that it shows."""

    name: str  # of its files
    label: str  # its heading on the page
    title: str  # of its files
    svg: Markup  # to stand inside a page
    data: Columns
    save_png: Callable[[Path], None]

    def as_file(self) -> str:
        """The figure as an SVG file, on white, for any program that reads SVG."""
        box = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', self.svg)
        assert box is not None, "a figure begins at 0 0"
        opening = Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            ' width="{0}pt" height="{1}pt" viewBox="0 0 {0} {1}">\n<title>{2}</title>\n'
            "<style>* {{stroke-linejoin: round; stroke-linecap: butt}}</style>\n"
            '<rect width="100%" height="100%" fill="#ffffff"/>'
        ).format(box[1], box[2], self.title)
        drawn = re.sub(r"^<svg[^>]*>", lambda _: opening, self.svg)
        drawn = drawn.replace(' href="#', ' xlink:href="#')  # which older programs ask for
        return f'<?xml version="1.0" encoding="utf-8"?>\n{drawn}\n'


def drawing(
    figure: Figure, name: str, label: str, title: str, description: str, data: Columns
) -> Drawing:
    """A finished figure, with its heading `label` on the page.

    `name` must be unique on its page, `description` is for screen readers.
    """

    def save_png(path: Path) -> None:
        with matplotlib.style.context(["default", STYLE]):
            sharp = PNG_DPI * WIDTH / figure.get_figwidth()  # half a figure is as many pixels wide
            figure.savefig(path, format="png", dpi=sharp, facecolor="white",
                           metadata={"Software": None})  # fmt: skip

    return Drawing(name, label, title, inline_svg(figure, name, description), data, save_png)


def inline_svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an SVG element to stand inside a page.

    Text stays text; identifiers are prefixed with `name`, which must be unique on the page; the
    element scales with the page and describes to screen readers what it shows.
    """
    width, height = (f"{72 * inches:.6g}" for inches in figure.get_size_inches())
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        width, height, description
    )
    return Markup("{}{}</svg>").format(opening, elements(figure, name))


def elements(figure: Figure, name: str) -> Markup:
    """What a figure draws, as the content of an SVG element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawn = buffer.getvalue()
    drawn = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", drawn, flags=re.S)
    drawn = drawn[drawn.index(">", drawn.index("<svg")) + 1 : drawn.rindex("</svg>")]
    drawn = drawn.replace("xlink:href=", "href=")
    drawn = drawn.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    return Markup(re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawn))


def pixels(figure: Figure) -> Image.Image:
    """The figure as a picture with transparency, as large as its PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=PNG_DPI)
    width, height = (int(PNG_DPI * inches) for inches in figure.get_size_inches())
    return Image.frombytes("RGBA", (width, height), buffer.getvalue())
