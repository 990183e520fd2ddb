"""How tiles are to be embedded: the configuration and its preset as one, checked without torch.

Importing timm takes seconds, so what only it knows is filled in where slides are processed.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from survfuse.config.encoder import EncoderConfig
from survfuse.core.brought_files import UnusableFileError, pointer_to_content
from survfuse.core.errors import MissingResourceError, UserInputError
from survfuse.modalities.slides.encoders.preset import DINOV2, TIMM, TRANSFORMERS, Colour, Preset
from survfuse.modalities.slides.encoders.presets import PRESETS

USUAL = "resnet50_trunc"
TENSORS, TORCHSCRIPT = "tensors", "torchscript"
# Networks of our own, and whether they take arguments; they give vectors without pooling.
OWN = {"resnet50_trunc": False, "ctranspath": True, "conch_v1": True, "conch_v1_5": True}
# timm knows an architecture with the weights of its own tag; those of a file are others, and many
# were trained on other statistics. Nothing in the file tells, and wrong ones fail silently.
STATISTICS = ("mean", "std", "input_px")
EXAMPLE = "{mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], input_px: 224, pooling: none}"
NEAR = 0.05  # relative; tiles of 224 and of 230 pixels show the same


@dataclass(frozen=True)
class Recipe:
    """Everything that an embedding depends on; None where only timm knows it.

    name: for people and directories. arch: empty where the file holds the whole network. stated_by:
    what says each of STATISTICS. All else is as in `EncoderConfig` and `Preset`.
    """

    name: str
    arch: str
    arguments: Mapping[str, Any]
    format: str
    weights: Path | None
    mean: Colour | None
    std: Colour | None
    input_px: int | None
    resize_px: int | None
    pooling: str
    norm_eps: float | None
    width: int | None
    trusted: bool = False
    key_names: tuple[str, ...] = (TIMM, DINOV2, TRANSFORMERS)
    position_offset: float | None = None
    stated_by: Mapping[str, str] = field(default_factory=dict)


def recipe_of(config: EncoderConfig) -> Recipe:
    """The settings of an encoder with what its preset says of those that are not set.

    Raises UserInputError for an unknown preset, for settings that contradict each other or that
    nothing tells, MissingResourceError where the weights are not there.
    """
    name, preset = preset_of(config)
    arch = "" if config.format != TENSORS else arch_of(config, preset)
    check_settings(config, name, arch)
    check_weights(config, name)
    if config.weights and not preset and "." not in arch:  # a tag says which weights they are
        require_statistics(config, pooling=config.format == TENSORS)
    own = [key for key in STATISTICS if getattr(config, key) is not None]
    shared: dict[str, Any] = {}
    if preset:
        shared = {"key_names": preset.key_names, "position_offset": preset.position_offset}
    by_preset = dict.fromkeys(STATISTICS, f"preset {name}") if preset else {}
    return Recipe(
        name=name,
        arch=arch,
        arguments={**(preset.arguments if preset and arch else {}), **config.arguments},
        format=config.format,
        weights=config.weights,
        mean=config.mean or (preset.mean if preset else None),
        std=config.std or (preset.std if preset else None),
        input_px=config.input_px or (preset.input_px if preset else None),
        resize_px=config.resize_px or (None if config.input_px or not preset else preset.resize_px),
        pooling=config.pooling or (preset.pooling if preset and arch else "none"),
        norm_eps=config.norm_eps or (preset.norm_eps if preset else None),
        width=config.width or expected_width(config, preset),
        trusted=config.trust_torchscript,
        stated_by={**by_preset, **dict.fromkeys(own, "the configuration")},
        **shared,
    )


def preset_of(config: EncoderConfig) -> tuple[str, Preset | None]:
    """What an encoder is called, and its preset if it has one. Raises UserInputError."""
    named = config.preset or (config.arch if config.arch in PRESETS else None)
    if named is None and config.arch is None and config.format == TENSORS:
        named = USUAL
    if named is None:
        return config.arch or config.format, None
    if named not in PRESETS:
        close = difflib.get_close_matches(named.lower(), PRESETS, n=1, cutoff=0.5)
        meant = f"did you mean {close[0]}? There are" if close else "there are"
        raise UserInputError(
            f"slides: {named!r} is no preset of an encoder; {meant} {', '.join(PRESETS)}"
        )
    return named, PRESETS[named]


def arch_of(config: EncoderConfig, preset: Preset | None) -> str:
    """The network that an encoder is built as."""
    if preset and (config.arch is None or config.arch in PRESETS):
        return preset.arch
    assert config.arch is not None, "without a preset an arch is named"
    return config.arch


def expected_width(config: EncoderConfig, preset: Preset | None) -> int | None:
    """The width of the preset's embeddings, unless another network or pooling is asked for."""
    changed = config.pooling or (config.preset and config.arch)
    return preset.width if preset and not changed else None


def check_settings(config: EncoderConfig, name: str, arch: str) -> None:
    """Raise UserInputError for settings that contradict each other."""
    if config.untrained and config.weights is not None:
        raise UserInputError("slides: set weights or untrained: true, not both")
    pools = config.pooling not in (None, "none")
    if not arch:
        if config.untrained:
            raise UserInputError(f"slides: an encoder of format {config.format} is never untrained")
        if pools or config.arguments or config.norm_eps or config.arch:
            raise UserInputError(
                f"slides: a file of format {config.format} holds the whole network; remove arch, "
                "arguments, pooling and norm_eps"
            )
        if config.format == TORCHSCRIPT and not config.trust_torchscript:
            raise UserInputError(
                "slides: a TorchScript file is a program, which runs on this machine with your "
                "rights; set trust_torchscript: true only if you trust whoever made the file, or "
                "take its weights as .safetensors"
            )
    if arch in OWN and config.arguments and not OWN[arch]:
        raise UserInputError(f"slides: {name} takes no arguments; remove them")
    if arch in OWN and pools:
        raise UserInputError(f"slides: {name} has its own pooling; remove it")


def check_weights(config: EncoderConfig, name: str) -> None:
    """Raise MissingResourceError where the weights are not there, or only a pointer to them."""
    if config.untrained:
        return
    if config.weights is None:
        raise MissingResourceError(
            f"slides: the weights of the encoder are not set: name a local file for {name} in "
            "weights, or set untrained: true for a demonstration"
        )
    if not config.weights.is_file():
        raise MissingResourceError(
            f"slides: the weights {config.weights} are not there; correct the path, or copy the "
            "file"
        )
    try:
        pointer = pointer_to_content(config.weights)
    except (UnusableFileError, OSError) as error:
        raise MissingResourceError(f"slides: the weights {config.weights}: {error}") from None
    if pointer:
        raise MissingResourceError(f"slides: {config.weights} {pointer[0]}; {pointer[1]}")


def require_statistics(config: EncoderConfig, pooling: bool) -> None:
    """Raise UserInputError where nothing says how the weights want their pixels."""
    wanted = (*STATISTICS, "pooling") if pooling else STATISTICS
    unset = [name for name in wanted if getattr(config, name) is None]
    if unset:
        raise UserInputError(
            f"slides: set {', '.join(unset)} as the page of the weights tells them, because a file "
            f"of weights does not, or name a preset; ImageNet's are {EXAMPLE}"
        )


def difference_of_tiles(config: EncoderConfig, tile_px: int, target_mpp: float) -> str | None:
    """How tiles differ from those that the preset is meant for; None where they do not."""
    name, preset = preset_of(config)
    if preset is None:
        return None
    side_um, meant_um = tile_px * target_mpp, preset.tile_px * preset.tile_mpp
    if abs(math.log(side_um / meant_um)) <= math.log1p(NEAR):
        return None
    scale = meant_um / side_um
    seen = f"{scale:.2g} times as large" if scale > 1 else f"at {scale:.0%} of that size"
    return (
        f"{name} is published for tiles of {preset.tile_px} pixels at {preset.tile_mpp:g} "
        f"micrometres per pixel, a side of {meant_um:g} micrometres; yours have {tile_px} at "
        f"{target_mpp:g}, {side_um:g}, so it sees tissue {seen}"
    )
