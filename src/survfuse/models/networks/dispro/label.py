"""How reports call DisPro; apart from the model, so that asking does not import PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROTOTYPES = "prototypes"


def label(options: Mapping[str, Any]) -> str:
    """DisPro with a language model, DisPro-prototype with learned prototypes instead of texts.

    options: those of the row, defaults may be left out.
    """
    learned = options.get("text_encoder", PROTOTYPES) == PROTOTYPES
    return "DisPro-prototype" if learned else "DisPro"
