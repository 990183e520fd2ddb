"""What is said in other languages: the catalogues are complete, and so is what is marked."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.support import NullTranslations

from new_patients_fixture import DIAGNOSIS, ENGLISH, GERMAN, RECORD, text_of
from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core import messages
from survfuse.core.errors import UserInputError
from survfuse.deployment.pictures import FACE
from survfuse.reporting.language import (
    CATALOGUES,
    CODES,
    LOCALES,
    SOURCE,
    Language,
    catalogue_of,
    language_of,
)
from survfuse.reporting.new_patients.images import NewPicture
from survfuse.reporting.new_patients.pages import index_of, page_of
from survfuse.reporting.new_patients.sheet import sheet_of
from survfuse.reporting.new_patients.style import Style

TOOL = Path(__file__).parents[2] / "tools" / "catalogue.py"


@pytest.fixture(scope="module")
def said() -> Catalog:
    """All texts of code and templates."""
    found: Catalog = runpy.run_path(str(TOOL))["said"]()
    return found


def texts(message: Message) -> tuple[str, ...]:
    """The texts of a message, or of its translation, of which a plural has two."""
    return message if isinstance(message, tuple) else (message,)


def test_every_language_but_the_source_has_a_catalogue() -> None:
    assert {path.stem for path in CATALOGUES.glob("*.po")} == set(CODES) - {SOURCE}
    for unknown, message in (({"language": "xx"}, "known are en, de"), ({"paper": "A3"}, "Letter")):
        with pytest.raises(UserInputError, match=message):
            Style(**unknown)


@pytest.mark.parametrize("code", sorted(set(CODES) - {SOURCE}))
def test_a_catalogue_has_all_that_is_said_and_nothing_else(code: str, said: Catalog) -> None:
    kept = catalogue_of(CATALOGUES / f"{code}.po")
    assert len(said) > 200
    assert {one.id for one in kept} == {one.id for one in said} | {""}  # "" is the header
    assert not kept.obsolete
    for one in kept:
        assert not one.fuzzy and all(texts(one.string)), one.id
        assert not list(one.check(kept)), one.id
        used = {frozenset(re.findall(r"%\(\w+\)s", text)) for text in texts(one.id)}
        for text in texts(one.string):
            if one.id:
                assert frozenset(re.findall(r"%\(\w+\)s", text)) in used, one.id


def test_german_is_not_english() -> None:
    kept = catalogue_of(CATALOGUES / "de.po")
    same = {one.id for one in kept if one.id and one.id == one.string}
    assert same == {"PET", "Name"}


PICTURES = [
    NewPicture("mri", False, "data:image/jpeg;base64,"),
    NewPicture("pet", True, "data:image/jpeg;base64,"),
    NewPicture("mri", False, None, FACE),
]


class Veiled(NullTranslations):
    """Makes every letter of a text an x, so that what was not translated stands out."""

    def gettext(self, message: str) -> str:
        parts = re.split(r"(%\(\w+\)s)", message)
        return "".join(p if p.startswith("%(") else re.sub(r"[A-Za-z]", "x", p) for p in parts)

    def ngettext(self, one: str, many: str, n: int) -> str:
        return self.gettext(one if n == 1 else many)


@pytest.mark.parametrize("record", [RECORD, DIAGNOSIS])
def test_no_word_of_a_page_is_beside_the_catalogue(record: dict, tmp_path: Path) -> None:
    veiled = Language("de", GERMAN.locale, Veiled())
    pages = (
        page_of(record, veiled, PICTURES),
        sheet_of(record, veiled),
        sheet_of(record, veiled, document=True),
        index_of([record], NewPatientsFolder(tmp_path), veiled, documents=True),
    )
    own = set(re.findall(r"[A-Za-z]+", json.dumps(record))) | {"Januar", "und", "aaaaaaaaaaaa"}
    for html in pages:
        spoken = " ".join(re.findall(r'(?:<title>|aria-label="|alt=")([^<"]*)', html))
        words = set(re.findall(r"[A-Za-z]{2,}", f"{text_of(html)} {spoken}"))
        assert {word for word in words if set(word.lower()) != {"x"}} <= own


def test_numbers_dates_and_lists_are_those_of_the_language() -> None:
    assert ENGLISH.decimal(-1.234) == "−1.23" and GERMAN.decimal(-1.234) == "−1,23"
    assert GERMAN.decimal(0.05, signed=True) == "+0,05"
    assert GERMAN.short(40.25) == "40,25" and GERMAN.short(86.0) == "86"
    assert ENGLISH.date("2026-01-02") == "2 January 2026"
    assert GERMAN.date("2026-01-02") == "2. Januar 2026"
    assert ENGLISH.listed(["a", "b", "c"]) == "a, b and c"
    assert GERMAN.listed(["a", "b", "c"]) == "a, b und c"
    assert GERMAN.of_100(0.9999) == "mehr als 99" and GERMAN.of_100(0.5) == "50"


@pytest.mark.parametrize(
    ("months", "english", "german", "in_years"),
    [
        (1.0, "within 1 month", "innerhalb von 1 Monat", "within 1 month"),
        (12.0, "within 12 months", "innerhalb von 12 Monaten", "within 1 year"),
        (36.0, "within 36 months", "innerhalb von 36 Monaten", "within 3 years"),
        (7.5, "within 7.5 months", "innerhalb von 7,5 Monaten", "within 7.5 months"),
    ],
)
def test_times_in_words(months: float, english: str, german: str, in_years: str) -> None:
    assert ENGLISH.within(months) == english and GERMAN.within(months) == german
    assert ENGLISH.within_years(months) == in_years


def test_a_message_is_the_same_sentence_in_records_and_on_english_pages() -> None:
    message = messages.Message(
        "%(what)s: %(value)s of %(n)s", {"value": 0.5, "n": 3}, {"what": "PET"}
    )
    assert str(message) == ENGLISH.say(message.to_json()) == "PET: 0.5 of 3"
    assert GERMAN.say(message.to_json()) == "PET: 0,5 of 3"


def test_locales_exist() -> None:
    assert all(language_of(code).locale.language == code for code in LOCALES)
