"""Which processor networks run on."""

from __future__ import annotations

import torch

from survfuse.core.errors import MissingResourceError


def choose_device(asked: str) -> torch.device:
    """`auto` takes a GPU if there is one; `cuda` insists. Raises MissingResourceError."""
    if asked == "cuda" and not torch.cuda.is_available():
        raise MissingResourceError(
            "device cuda was asked for, but PyTorch sees no GPU; request one from the scheduler, "
            "or run with --device cpu"
        )
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(asked)
