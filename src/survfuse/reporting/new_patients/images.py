"""The brain volumes of a new patient on pages and in documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.modalities.registry import MODALITIES
from survfuse.reporting.language import Language


@dataclass(frozen=True)
class NewPicture:
    """A volume that models read: three planes of it as data URI, or why there are none."""

    modality: str
    synthetic: bool  # computed from another volume
    uri: str | None
    why_none: str = ""


NONE: Mapping[str, Sequence[NewPicture]] = {}  # pictures by patient, where nobody has any


def images(pictures: Sequence[NewPicture], language: Language) -> list[dict[str, Any]]:
    """What the template of images prints, in a language."""
    return [
        {
            "noun": language.gettext(MODALITIES[one.modality].noun),
            "synthetic": one.synthetic,
            "uri": one.uri,
            "why_none": language.gettext(one.why_none) if one.why_none else "",
        }
        for one in pictures
    ]
