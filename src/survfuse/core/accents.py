"""One way to write a letter with an accent: Unicode has two, and macOS stores the longer one."""

from __future__ import annotations

import unicodedata


def composed(text: str) -> str:
    """The text with accents as part of their letters (NFC), so that what looks equal is equal."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
