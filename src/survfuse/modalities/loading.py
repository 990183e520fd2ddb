"""The object behind the name of a modality, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from survfuse.modalities.protocol import Modality
from survfuse.modalities.registry import MODALITIES


def modality(name: str) -> Modality:
    """A modality by its name. Raises KeyError for a name that is none."""
    module = import_module(f"survfuse.modalities.{MODALITIES[name].module}")
    found: Modality = module.MODALITIES[name]
    return found
