"""The templates of new patients, in a language: their sentences are those of its catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment

from survfuse.reporting import render as pages
from survfuse.reporting.language import Language
from survfuse.reporting.new_patients.content import verbatim
from survfuse.reporting.new_patients.numbers import Numbers

FOLDER = "new_patients"


def render(template: str, language: Language, context: Mapping[str, Any]) -> str:
    """The page as HTML; `template` is a file of the folder of new patients."""
    return environment(language).get_template(f"{FOLDER}/{template}").render(**context)


@cache
def environment(language: Language) -> Environment:
    """That of all pages, with the words and the numbers of a language."""
    shared, numbers = pages.environment(), Numbers(language)
    made = shared.overlay(extensions=["jinja2.ext.i18n"])
    made.policies = {**shared.policies, "ext.i18n.trimmed": True}
    made.filters = {**shared.filters, "verbatim": verbatim}
    made.globals = {
        **shared.globals,
        "lang": language.code,
        "within": language.within,
        "months": language.months,
        "date": language.date,
        "listed": language.listed,
        "number": numbers.number,
        "frequency": numbers.frequency,
        "roughly": numbers.roughly,
        "remainder": numbers.remainder,
        "spread": numbers.spread,
        "interval": numbers.interval,
    }
    made.install_gettext_callables(  # type: ignore[attr-defined]
        language.gettext, language.ngettext, newstyle=True
    )
    return made
