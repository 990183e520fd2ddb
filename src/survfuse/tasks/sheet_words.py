"""What the sheet for a patient says in the words of a task; plain, and marked for translation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SheetWords:
    """Whole sentences.

    about: what was estimated. limits: what such an estimate cannot say. whom: whom to ask and who
    helps, besides the doctor who gave the sheet. questions: that a patient may want to ask.
    """

    about: str
    limits: str
    whom: str
    questions: tuple[str, ...]
