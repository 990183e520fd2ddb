"""From the configuration of an encoder to one that embeds tiles.

Weights come from a local file that the configuration names, or are drawn from a fixed seed for
demonstrations; nothing is ever downloaded.
"""

from __future__ import annotations

import json
import logging

import torch
from torch import nn

from survfuse.config.encoder import EncoderConfig
from survfuse.core.device import choose_device
from survfuse.core.files import sha256_file
from survfuse.modalities.slides.encoders.encoder import Encoder, EncoderIdentity
from survfuse.modalities.slides.encoders.exported import load_onnx, load_torchscript
from survfuse.modalities.slides.encoders.networks import (
    PooledTokens,
    build,
    open_residual_branches,
    prepared,
    require_known,
    statistics_of_tag,
)
from survfuse.modalities.slides.encoders.recipe import (
    STATISTICS,
    TENSORS,
    TORCHSCRIPT,
    Recipe,
    recipe_of,
)
from survfuse.modalities.slides.encoders.weights import filled

log = logging.getLogger(__name__)

UNTRAINED_SEED = 0
WORDS = {"mean": "mean", "std": "std", "input_px": "size"}


def identify(config: EncoderConfig) -> EncoderIdentity:
    """Check the encoder's settings and hash its weights, without loading anything.

    What is not set, which is possible without weights or with a tag of timm, is taken from timm.
    Raises UserInputError for an unknown encoder, and what `recipe_of` raises.
    """
    recipe = recipe_of(config)
    values = {name: getattr(recipe, name) for name in STATISTICS}
    stated_by = dict(recipe.stated_by)
    if recipe.format == TENSORS:
        require_known(recipe.arch)
    if None in values.values():
        tag, usual = statistics_of_tag(recipe)
        stated_by |= {name: f"timm's tag {tag}" for name in STATISTICS if values[name] is None}
        values = {name: usual[name] if value is None else value for name, value in values.items()}
    return EncoderIdentity(
        encoder=recipe.name,
        arch=recipe.arch,
        arguments=json.dumps(recipe.arguments, sort_keys=True),
        resize_px=max(recipe.resize_px or 0, values["input_px"]),
        pooling=recipe.pooling,
        norm_eps=recipe.norm_eps,
        position_offset=recipe.position_offset,
        format=recipe.format,
        weights_sha256=sha256_file(recipe.weights) if recipe.weights else "",
        stated_by=in_words(stated_by),
        **values,
    )


def in_words(stated_by: dict[str, str]) -> str:
    """What says mean, std and size: one source for all, or each with its own."""
    sources = {stated_by[name] for name in STATISTICS}
    if len(sources) == 1:
        return sources.pop()
    return ", ".join(f"{stated_by[name]} ({WORDS[name]})" for name in STATISTICS)


def load_encoder(config: EncoderConfig, identity: EncoderIdentity, device: str) -> Encoder:
    """Build the network, load its weights, prepare it for inference, and try it once.

    Raises UserInputError if the weights are not those of the network, or if it does not turn
    tiles into vectors of the expected width.
    """
    recipe, target = recipe_of(config), choose_device(device)
    network = network_of(recipe, target)
    encoder = Encoder(identity, network.to(target), target, recipe.width)
    log.info("tiles are embedded by %s; vectors of %d numbers", identity.label, encoder.dim)
    return encoder


def network_of(recipe: Recipe, device: torch.device) -> nn.Module:
    """The network of a recipe with its weights, ready for inference."""
    if recipe.format != TENSORS:
        assert recipe.weights is not None, "a network from a file has a file"
        load = load_torchscript if recipe.format == TORCHSCRIPT else load_onnx
        return load(recipe.weights, device)
    if recipe.weights is not None:
        network = filled(lambda: build(recipe), recipe, recipe.weights)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(UNTRAINED_SEED)
            network = build(recipe)
        open_residual_branches(network)
    if recipe.pooling != "none":
        network = PooledTokens(network, recipe.pooling)
    return prepared(network)
