"""How pages of new patients print numbers: in their language, each naming its place in the record.

As `reporting.render` does it in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from survfuse.core.messages import marked
from survfuse.reporting.language import Language
from survfuse.reporting.render import span

NOT_ESTIMABLE, NO_INTERVAL = marked("not estimable"), marked("no interval")
ABOUT, SPREAD = marked("about %(number)s"), marked("%(low)s to %(high)s")


@dataclass(frozen=True)
class Numbers:
    """Numbers in a language, as templates print them."""

    language: Language

    def number(
        self, value: float | None, key: str, digits: int = 2, signed: bool = False
    ) -> Markup:
        """A decimal number, or "not estimable"."""
        if value is None:
            return self.absent()
        return span(key, self.language.decimal(value, digits, signed))

    def frequency(self, probability: float | None, key: str) -> Markup:
        """A probability as a number of 100 patients."""
        if probability is None:
            return self.absent()
        return span(key, self.language.of_100(probability))

    def roughly(self, probability: float, key: str) -> Markup:
        """The same, as it begins a statement: "about 57", "more than 99"."""
        shown = Markup("<b>{}</b>").format(self.frequency(probability, key))
        words = self.language.of_100(probability)
        return self.said(ABOUT, number=shown) if words.isdigit() else shown

    def remainder(self, probability: float) -> str:
        """As `roughly`, of those whom the probability leaves; they stand in no record."""
        words = self.language.of_100(1 - probability)
        return self.language.gettext(ABOUT) % {"number": words} if words.isdigit() else words

    def spread(
        self, one: Mapping[str, Any], key: str, low: str = "low", high: str = "high"
    ) -> Markup:
        """Two frequencies of an estimate: 31 to 80."""
        limits = {"low": low, "high": high}
        shown = {name: self.frequency(one[part], f"{key}/{part}") for name, part in limits.items()}
        return self.said(SPREAD, **shown)

    def interval(self, found: Mapping[str, Any], key: str, signed: bool = False) -> Markup:
        """The limits of a metric or a difference, or that it has none."""
        if found.get("low") is None:
            return Markup.escape(self.language.gettext(NO_INTERVAL))
        shown = {
            part: self.number(found[part], f"{key}/{part}", 2, signed) for part in ("low", "high")
        }
        return self.said(SPREAD, **shown)

    def said(self, text: str, **values: Markup) -> Markup:
        """A text with marked-up values."""
        return Markup.escape(self.language.gettext(text)) % values

    def absent(self) -> Markup:
        """That there is nothing."""
        return Markup('<span class="none">{}</span>').format(self.language.gettext(NOT_ESTIMABLE))
