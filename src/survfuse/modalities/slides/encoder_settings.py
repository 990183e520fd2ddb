"""Checking how tiles are to be embedded, without the libraries that do it.

Importing timm takes seconds, so whether it knows the encoder is asked where slides are processed.
"""

from __future__ import annotations

from survfuse.config.slides import SlideConfig
from survfuse.core.errors import MissingResourceError, UserInputError

TRUNCATED = "resnet50_trunc"
# timm knows an architecture with the weights of its own tag; those of a file are others, and many
# were trained on other statistics. Nothing in the file tells, and wrong ones fail silently.
OF_THE_WEIGHTS = ("mean", "std", "input_px", "pooling")
EXAMPLE = "{mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], input_px: 224, pooling: none}"


def check_encoder(config: SlideConfig) -> None:
    """Raise UserInputError for contradictory settings, MissingResourceError without weights."""
    if config.encoder == TRUNCATED:
        if config.encoder_options:
            raise UserInputError(f"slides.encoder_options: {TRUNCATED} has none; remove them")
        if config.pooling not in (None, "none"):
            raise UserInputError(f"slides.pooling: {TRUNCATED} has its own; remove it")
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
    unset = [name for name in OF_THE_WEIGHTS if getattr(config, name) is None]
    if unset and config.encoder != TRUNCATED:
        raise UserInputError(
            f"slides: set {', '.join(unset)} as the page of the weights tells them, because a file "
            f"of weights does not; ImageNet's are {EXAMPLE}"
        )
