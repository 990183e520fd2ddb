"""The sheet for a patient: what the estimate says in plain language, for those who want to know."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from survfuse.core.event_words import PLAIN, UNKNOWN
from survfuse.modalities.registry import MODALITIES
from survfuse.reporting.language import Language
from survfuse.reporting.new_patients.content import Record, case, headline, quoted, shared, verbatim
from survfuse.reporting.new_patients.templates import render
from survfuse.tasks.loading import task_named


def sheet_of(record: Record, language: Language, document: bool = False) -> str:
    """The sheet as HTML: a page, or for a document."""
    context = {**sheet_content(record, language), "document": document}
    return render("sheet.html.j2", language, context)


def sheet_content(record: Record, language: Language) -> dict[str, Any]:
    """What the template prints."""
    at = headline(record["estimates"])
    found = at or case(record["estimates"])
    risk = None if found is None else found["risk" if at else "probability"]
    words = task_named(record["task"]).sheet_words(record["predicted"])
    states = {one["modality"]: one["state"] for one in record["inputs"]}
    return {
        **shared(record, language),
        "study": record["performance"],
        "words": {name: language.gettext(getattr(words, name)) for name in ("about", "limits")},
        "whom": language.gettext(words.whom),
        "questions": [language.gettext(question) for question in words.questions],
        "headline": at,
        "case": None if at else found,
        "risk": risk,
        "filled": None if risk is None else round(100 * risk),
        "plain": plain(record, language),
        "by": language.within_years(at["months"]) if at else "",
        "lacking": [plain_noun(name, language) for name, one in states.items() if one != "present"],
        "flags": sum(one["flagged"] for one in record["remarks"]),
    }


def plain(record: Record, language: Language) -> Markup:
    """What people with the event have had, in plain words; other words of a study are quoted."""
    said = record["predicted"]["happened"]
    words = PLAIN.get(said, said)
    if language.in_source or language.knows(words):
        return verbatim(language.gettext(words))
    return quoted(PLAIN[UNKNOWN], said, language)


def plain_noun(name: str, language: Language) -> str:
    """What a modality is called within a sentence for those who are no experts."""
    return language.gettext(MODALITIES[name].plain)
