"""Checking how tiles are to be embedded, without the libraries that do it.

Importing timm takes seconds, so whether it knows the encoder is asked where slides are processed.
"""

from __future__ import annotations

from survfuse.config import SlideConfig
from survfuse.errors import MissingResourceError, UserInputError

TRUNCATED = "resnet50_trunc"


def check_encoder(config: SlideConfig) -> None:
    """Raise UserInputError for contradictory settings, MissingResourceError without weights."""
    if config.encoder_options and config.encoder == TRUNCATED:
        raise UserInputError(f"slides.encoder_options: {TRUNCATED} has none; remove them")
    if config.untrained:
        if config.weights is not None:
            raise UserInputError("slides: set weights or untrained: true, not both")
        return
    if config.weights is None:
        raise MissingResourceError(
            f"slides.weights is not set: name a local .safetensors or .pt file with weights for "
            f"{config.encoder}, or set slides.untrained: true for a demonstration"
        )
    if not config.weights.is_file():
        raise MissingResourceError(
            f"slides.weights: {config.weights} is not there; correct the path, or copy the file"
        )
