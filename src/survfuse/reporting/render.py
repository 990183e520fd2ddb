"""Pages from templates: escaping on, nothing fetched, numbers that name their source."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from survfuse.files import write_text
from survfuse.reporting import wording

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"
NOT_ESTIMABLE = Markup('<span class="none">not estimable</span>')


def write_page(template: str, context: Mapping[str, Any], out: Path) -> None:
    """Render a template to the file `out`, atomically; wording faults go to the log."""
    html = render(template, context)
    for fault in wording.lint(html):
        log.warning("%s: wording: %s", out.name, fault)
    write_text(out, html)


def render(template: str, context: Mapping[str, Any]) -> str:
    """The page as HTML; a name the template uses and the context lacks is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        number=number, estimate=estimate, estimate_inline=estimate_inline, frequency=frequency
    )
    environment.filters.update(
        months=wording.months,
        plural=wording.plural,
        listed=wording.listed,
        capitalize_first=wording.capitalize_first,
        decimal=wording.decimal,
    )
    return environment.get_template(template).render(**context)


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
