"""How what people read of new patients is written."""

from __future__ import annotations

from dataclasses import dataclass

from survfuse.core.errors import UserInputError
from survfuse.reporting.language import CODES, SOURCE

PAPERS = {"A4": "210mm 297mm", "Letter": "8.5in 11in"}


@dataclass(frozen=True)
class Style:
    """language: of `language.CODES`. paper: of PAPERS. documents: whether any are written.

    Raises UserInputError for others.
    """

    language: str = SOURCE
    paper: str = "A4"
    documents: bool = True

    def __post_init__(self) -> None:
        for name, known in (("language", CODES), ("paper", tuple(PAPERS))):
            if getattr(self, name) not in known:
                raise UserInputError(
                    f"{name} {getattr(self, name)}: there is none; known are {', '.join(known)}"
                )
