"""Pages from templates: escaping on, nothing fetched, numbers that name their source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from survfuse.core.errors import SurvfuseError
from survfuse.core.files import write_text
from survfuse.reporting import wording
from survfuse.reporting.contents import with_contents
from survfuse.reporting.page_tables import page_tables
from survfuse.reporting.saved_files import save_figures, save_tables

TEMPLATES = Path(__file__).parent / "templates"
NOT_ESTIMABLE = Markup('<span class="none">not estimable</span>')


class WordingError(SurvfuseError):
    """A page says what no page may say: a defect of survfuse, exit code 1."""


def write_page(template: str, context: Mapping[str, Any], page: Path, report: Path) -> set[Path]:
    """Render a template to the file `page` of the folder `report`; returns what was written.

    Before it, what it links is saved to where `saved` of the context says: the figures (`drawings`
    of the context), the tables of the page, and those it does not print (`tables`). Each file is
    written atomically. Raises WordingError, before anything is written, where the page breaks the
    rules of `wording.lint`; `own_words` of the context are the user's and are not examined.
    """
    html = render(template, context)
    require_wording(page, html, context.get("own_words", ()))
    written = save_figures(report, context["saved"], context["drawings"])
    tables = {**context["tables"], **page_tables(html)}
    written |= save_tables(report, context["saved"], tables)
    write_text(page, html)
    return written | {page}


def require_wording(
    page: Path, html: str, own_words: Iterable[str] = (), language: str = "en"
) -> None:
    """Raise WordingError where the page breaks the rules of wording."""
    if faults := wording.lint(html, own_words, language):
        raise WordingError(
            f"{page.name}: the page says what no page may say, so it is not written; please report "
            f"this as a defect: {'; '.join(faults)}"
        )


def render(template: str, context: Mapping[str, Any]) -> str:
    """The page as HTML; a name the template uses and the context lacks is an error."""
    return with_contents(environment().get_template(template).render(**context))


@cache
def environment() -> Environment:
    """What renders the templates, each of which is compiled once for all pages."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.globals.update(
        lang="en",
        number=number,
        estimate=estimate,
        estimate_inline=estimate_inline,
        frequency=frequency,
        of_100=wording.of_100,
        about=wording.about,
    )
    made.filters.update(
        months=wording.months,
        plural=wording.plural,
        listed=wording.listed,
        capitalize_first=wording.capitalize_first,
        decimal=wording.decimal,
    )
    return made


def span(key: str, text: str) -> Markup:
    """A figure that names its source: `data-key` is the path of the value in its file."""
    return Markup('<span data-key="{}">{}</span>').format(key, text)


def number(value: float | None, key: str, digits: int = 2, signed: bool = False) -> Markup:
    """A decimal number with its source, or "not estimable"."""
    if value is None:
        return NOT_ESTIMABLE
    return span(key, wording.decimal(value, digits, signed))


def frequency(probability: float | None, key: str) -> Markup:
    """A probability as a number of 100 patients, with its source."""
    return NOT_ESTIMABLE if probability is None else span(key, wording.of_100(probability))


def estimate(
    metric: Mapping[str, Any] | None, key: str, digits: int = 2, signed: bool = False
) -> Markup:
    """A metric of evaluation.json followed by its interval, or "not estimable".

    A difference carries its point estimate as `difference` instead of `value`.
    """
    point = "difference" if metric is not None and "difference" in metric else "value"
    if metric is None or metric.get(point) is None:
        return NOT_ESTIMABLE
    shown = number(metric[point], f"{key}/{point}", digits, signed)
    if metric.get("low") is None or metric.get("high") is None:
        return Markup('{} <span class="interval none">no interval</span>').format(shown)
    low = number(metric["low"], f"{key}/low", digits, signed)
    high = number(metric["high"], f"{key}/high", digits, signed)
    return Markup('{} <span class="interval">{} to {}</span>').format(shown, low, high)


def estimate_inline(metric: Mapping[str, Any], key: str, signed: bool = True) -> Markup:
    """A metric with its interval in parentheses, for use within a sentence."""
    point = "difference" if "difference" in metric else "value"
    if metric.get("low") is None:
        shown = number(metric[point], f"{key}/{point}", 2, signed)
        return Markup("{} (no interval)").format(shown)
    parts = [number(metric[part], f"{key}/{part}", 2, signed) for part in (point, "low", "high")]
    return Markup("{} ({} to {})").format(*parts)
