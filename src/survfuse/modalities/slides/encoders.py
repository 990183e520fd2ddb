"""Building the networks that turn a tile into a vector: the only module that imports timm.

Weights come from a local file that the configuration names, or are drawn from a fixed seed for
demonstrations; nothing is ever downloaded, and pickled objects are refused.
"""

from __future__ import annotations

import json
import logging
import os
import pickle  # for the name of its error alone; nothing is unpickled
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from survfuse.config.slides import SlideConfig
from survfuse.core.device import choose_device
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_file
from survfuse.modalities.slides.encoder_settings import TRUNCATED, check_encoder
from survfuse.modalities.slides.tile_encoder import Encoder, EncoderIdentity
from survfuse.modalities.slides.torchvision_shim import declare_missing_operators

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub client is imported, which timm does
declare_missing_operators()
import timm  # noqa: E402
import timm.data  # noqa: E402
import timm.layers  # noqa: E402
from torch.fx.experimental.optimization import fuse  # noqa: E402

log = logging.getLogger(__name__)

UNTRAINED_SEED = 0
UNREADABLE_WEIGHTS = (
    SafetensorError,
    pickle.UnpicklingError,
    RuntimeError,
    AttributeError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
)


class TruncatedResNet50(nn.Module):
    """ResNet-50 up to its third stage, averaged over space: 1024 numbers, as CLAM uses it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model(
            "resnet50", pretrained=False, features_only=True, out_indices=[3]
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings (B, 1024) of normalised pixels (B, 3, height, width)."""
        return self.body(pixels)[0].mean(dim=(2, 3))


class PooledTokens(nn.Module):
    """A transformer whose class token, mean patch, or both are the embedding."""

    def __init__(self, network: Any, pooling: str) -> None:
        super().__init__()
        self.network, self.pooling = network, pooling
        self.prefix = int(getattr(network, "num_prefix_tokens", 0))
        if pooling != "patch_mean" and getattr(network, "cls_token", None) is None:
            raise UserInputError("slides.pooling: the encoder has no class token; set patch_mean")

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings (B, D) or (B, 2 D) of normalised pixels; registers are left out."""
        tokens = self.network.forward_features(pixels)
        if tokens.ndim != 3:
            raise ValueError("the network has no tokens to pool; set slides.pooling to none")
        parts = []
        if self.pooling != "patch_mean":
            parts.append(tokens[:, 0])
        if self.pooling != "class_token":
            parts.append(tokens[:, self.prefix :].mean(dim=1))
        norm = getattr(self.network, "fc_norm", nn.Identity())  # instead of one before pooling
        return torch.cat([norm(part) for part in parts], dim=1)


def identify(config: SlideConfig) -> EncoderIdentity:
    """Check the encoder's settings and hash its weights, without loading anything.

    What is not set, which is possible without weights, is taken from timm. Raises UserInputError
    for an unknown encoder, and what `check_encoder` raises.
    """
    check_encoder(config)
    name = config.encoder
    if name != TRUNCATED and not timm.is_model(name):
        raise UserInputError(
            f"slides.encoder: {name!r} is neither {TRUNCATED} nor a model of timm "
            f"{timm.__version__}; see timm.list_models()"
        )
    known = timm.get_pretrained_cfg("resnet50" if name == TRUNCATED else name)
    usual = timm.data.resolve_data_config(pretrained_cfg=known.to_dict() if known else {})
    side = config.encoder_options.get("img_size", usual["input_size"][-1])
    return EncoderIdentity(
        encoder=name,
        options=json.dumps(config.encoder_options, sort_keys=True),
        input_px=config.input_px or (side if isinstance(side, int) else usual["input_size"][-1]),
        mean=config.mean or tuple(usual["mean"]),
        std=config.std or tuple(usual["std"]),
        pooling=config.pooling or "none",
        weights_sha256=sha256_file(config.weights) if config.weights else "",
    )


def load_encoder(config: SlideConfig, identity: EncoderIdentity, device: str) -> Encoder:
    """Build the network, load its weights, prepare it for inference, and try it once.

    Raises UserInputError if the weights are not those of the network, or if it does not turn
    tiles into vectors.
    """
    target = choose_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        if config.encoder == TRUNCATED:
            network: nn.Module = TruncatedResNet50()
            backbone: Any = network.body
            skipped: tuple[str, ...] = ("fc.", "layer4.")
        else:
            network = backbone = create_network(config)
            skipped = classifier_prefixes(backbone)
    if config.weights is not None:
        load_weights(backbone, config.weights, skipped)
    else:
        open_residual_branches(network)
    if identity.pooling != "none":
        network = PooledTokens(network, identity.pooling)
    encoder = Encoder(identity, prepared(network).to(target), target)
    log.info("tiles are embedded by %s; vectors of %d numbers", identity.label, encoder.dim)
    return encoder


def create_network(config: SlideConfig) -> nn.Module:
    """A timm model without weights. Raises UserInputError for options it does not take."""
    options: dict[str, Any] = {"num_classes": 0} | {
        name: layer_named(value) if isinstance(value, str) else value
        for name, value in config.encoder_options.items()
    }
    try:
        network: nn.Module = timm.create_model(config.encoder, pretrained=False, **options)
    except MemoryError:
        raise
    except Exception as error:  # each network checks its options in its own way
        raise UserInputError(
            f"slides.encoder_options: {config.encoder} cannot be built with them "
            f"({type(error).__name__}: {error})"
        ) from None
    return network


def layer_named(value: str) -> Any:
    """A class of timm.layers or torch.nn by its path; any other text as it is."""
    for prefix, module in (("timm.layers.", timm.layers), ("torch.nn.", nn)):
        if value.startswith(prefix):
            if not hasattr(module, value.removeprefix(prefix)):
                raise UserInputError(f"slides.encoder_options: there is no {value}")
            return getattr(module, value.removeprefix(prefix))
    return value


def open_residual_branches(network: nn.Module) -> None:
    """Undo timm's start value of zero for the last normalisation of residual branches.

    Training moves it away from zero; without training the convolutions would never be heard.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.weight is not None:
            nn.init.ones_(module.weight)


def classifier_prefixes(backbone: Any) -> tuple[str, ...]:
    """Beginnings of the names of the classification layer, which an embedding does not use."""
    names = backbone.default_cfg.get("classifier") or ()
    names = (names,) if isinstance(names, str) else names
    return tuple(f"{name}." for name in names)


def load_weights(backbone: nn.Module, path: Path, skipped: tuple[str, ...]) -> None:
    """Load a file of named tensors; names that begin with one of `skipped` are left out.

    Raises UserInputError if anything else is missing or left over, or the file is no such file.
    """
    try:
        if path.suffix == ".safetensors":
            stored = load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        named = {key: value for key, value in stored.items() if not key.startswith(skipped)}
        difference = backbone.load_state_dict(named, strict=False)
    except UNREADABLE_WEIGHTS as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserInputError(
            f"slides.weights: {path} does not hold the weights of this encoder as plain named "
            f"tensors: {told}"
        ) from None
    wrong = [*difference.missing_keys, *difference.unexpected_keys]
    if wrong:
        raise UserInputError(
            f"slides.weights: {path} does not fit the encoder: {len(wrong)} names are missing or "
            f"left over, among them {', '.join(wrong[:3])}"
        )


def prepared(network: nn.Module) -> nn.Module:
    """The network for inference, in the memory layout and form that is fastest on a CPU.

    Batch normalisation is folded into the convolutions of ResNets, whose graph can be traced.
    """
    network = network.eval().requires_grad_(False)
    if isinstance(network, TruncatedResNet50 | timm.models.ResNet):
        network = fuse(network)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
