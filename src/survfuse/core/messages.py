"""Sentences that can be said in another language: the catalogue finds them where they are marked.

A finished sentence cannot be translated, so whoever has to say something keeps what is said and the
values in it apart. English is the language of the program, of records and of logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Value = str | int | float


def marked(text: str) -> str:
    """The text itself; whatever is said in other languages is marked so, or is a Message."""
    return text


@dataclass(frozen=True)
class Message:
    """A sentence with the names of values in it, as `%(name)s`, and these values.

    terms: values that are words of the program, marked, and are translated too.
    """

    text: str
    values: Mapping[str, Value] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The sentence in English."""
        numbers = {
            name: f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in self.values.items()
        }
        return self.text % {**numbers, **self.terms}

    def to_json(self) -> dict[str, Any]:
        """For records."""
        return {"text": self.text, "values": dict(self.values), "terms": dict(self.terms)}
