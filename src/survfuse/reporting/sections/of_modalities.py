"""What modalities add to the cohort report, each by the function that the registry names for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.config.study import Config
from survfuse.core.by_name import named
from survfuse.modalities.registry import BY_PLACE, MODALITIES
from survfuse.reporting.inputs import RunData


@dataclass(frozen=True)
class Section:
    """What the templates print of a modality, and what is unusual about its data."""

    printed: Mapping[str, Any]
    notes: Sequence[str] = ()


def modality_sections(config: Config, data: RunData) -> list[Section]:
    """The sections of all modalities that have one; those of MRI and PET are one and the same."""
    places = dict.fromkeys(MODALITIES[name].section for name in BY_PLACE)
    found: list[Section] = [named(place)(config, data) for place in places if place]
    return found
