"""What modalities add to the cohort report, each by the function that the registry names for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from survfuse.config.study import Config
from survfuse.modalities.registry import BY_PLACE, MODALITIES
from survfuse.reporting.inputs import RunData


@dataclass(frozen=True)
class Section:
    """What the templates print of a modality, and what is unusual about its data."""

    printed: Mapping[str, Any]
    notes: Sequence[str] = ()


def modality_sections(config: Config, data: RunData) -> list[Section]:
    """The sections of all modalities that have one; those of MRI and PET are one and the same."""
    named = dict.fromkeys(MODALITIES[name].section for name in BY_PLACE)
    found = []
    for module, _, function in (section.partition(":") for section in named if section):
        section: Section = getattr(import_module(module), function)(config, data)
        found.append(section)
    return found
