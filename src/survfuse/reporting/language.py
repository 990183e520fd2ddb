"""The languages that pages of new patients are written in: their words, numbers and dates.

English is the language of the templates; others are catalogues in the folder `locale`, whose texts
people translate and the program only reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse.reporting import wording

if TYPE_CHECKING:
    from babel import Locale
    from babel.support import NullTranslations

CATALOGUES = Path(__file__).parent / "locale"
LOCALES = {"en": "en_GB", "de": "de_DE"}
CODES = tuple(LOCALES)
SOURCE = "en"


@dataclass(frozen=True)
class Language:
    """How something is said in a language, and how its numbers are written."""

    code: str
    locale: Locale
    catalogue: NullTranslations

    def gettext(self, text: str) -> str:
        """The text in this language; itself where the catalogue has none."""
        return str(self.catalogue.gettext(text))

    def ngettext(self, one: str, many: str, n: float) -> str:
        """As `gettext`, of one or of many."""
        count = int(n) if n == int(n) else 2  # grammar knows no fractions
        return str(self.catalogue.ngettext(one, many, count))

    @property
    def in_source(self) -> bool:
        """Whether it is the language of the templates, which needs no catalogue."""
        return self.code == SOURCE

    def knows(self, text: str) -> bool:
        """Whether the text is one of the program's own, and so not a user's."""
        return self.gettext(text) != text

    def say(self, message: Mapping[str, Any]) -> str:
        """A message of a record, see `core.messages.Message`, with its values in it."""
        values = {
            name: self.short(value) if isinstance(value, float) else str(value)
            for name, value in message["values"].items()
        }
        terms = {name: self.gettext(term) for name, term in message["terms"].items()}
        return self.gettext(message["text"]) % {**values, **terms}

    def decimal(self, value: float, digits: int = 2, signed: bool = False) -> str:
        """As `wording.decimal`."""
        return self.pointed(wording.decimal(value, digits, signed))

    def short(self, value: float) -> str:
        """A number with as many digits as it needs."""
        return self.pointed(f"{value:g}")

    def pointed(self, number: str) -> str:
        """A number as Python writes it, with the decimal sign of the language."""
        from babel.numbers import get_decimal_symbol

        return number.replace(".", get_decimal_symbol(self.locale))

    def of_100(self, probability: float) -> str:
        """As `wording.of_100`."""
        count = wording.of_100(probability)
        return count if count.isdigit() else self.gettext(count)

    def listed(self, items: Sequence[str]) -> str:
        """`a, b and c`."""
        from babel.lists import format_list

        return format_list(list(items), locale=self.locale)

    def date(self, iso: str) -> str:
        """A day, written out: 2 January 2026."""
        from babel.dates import format_date

        return format_date(date.fromisoformat(iso), "long", locale=self.locale)

    def months(self, value: float) -> str:
        """A time: 12 months."""
        said = self.ngettext("%(months)s month", "%(months)s months", value)
        return said % {"months": self.short(value)}

    def within(self, value: float) -> str:
        """By a time: within 12 months."""
        said = self.ngettext("within %(months)s month", "within %(months)s months", value)
        return said % {"months": self.short(value)}

    def within_years(self, value_months: float) -> str:
        """By a time, in years where these are whole: within 3 years."""
        years, rest = divmod(value_months, 12)
        if rest or not years:
            return self.within(value_months)
        said = self.ngettext("within %(years)s year", "within %(years)s years", years)
        return said % {"years": self.short(years)}


@cache
def language_of(code: str) -> Language:
    """A language by its code, which is one of CODES."""
    from babel import Locale
    from babel.messages.mofile import write_mo
    from babel.support import NullTranslations, Translations

    locale, path = Locale.parse(LOCALES[code]), CATALOGUES / f"{code}.po"
    if code == SOURCE:
        return Language(code, locale, NullTranslations())
    compiled = BytesIO()
    write_mo(compiled, catalogue_of(path))
    compiled.seek(0)
    return Language(code, locale, Translations(compiled))


def catalogue_of(path: Path) -> Any:
    """A catalogue as Babel holds it, with what is translated, unsure, and no longer said."""
    from babel.messages.pofile import read_po

    with path.open("rb") as opened:
        return read_po(opened, locale=path.stem)
