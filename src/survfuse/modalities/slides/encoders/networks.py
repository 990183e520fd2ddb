"""Building the networks that embed tiles, without their weights: the only module with timm.

Nothing is ever downloaded.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from survfuse.core.errors import UserInputError
from survfuse.modalities.slides.encoders.conch import (
    ConchTower,
    PlainQueryAttention,
    QueryAttention,
)
from survfuse.modalities.slides.encoders.ctranspath import ConvStem
from survfuse.modalities.slides.encoders.recipe import OWN, Recipe
from survfuse.modalities.slides.torchvision_shim import declare_missing_operators

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub client is imported, which timm does
declare_missing_operators()
import timm  # noqa: E402
import timm.data  # noqa: E402
import timm.layers  # noqa: E402


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
            raise UserInputError("slides: pooling: the encoder has no class token; set patch_mean")

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings (B, D) or (B, 2 D) of normalised pixels; registers are left out."""
        tokens = self.network.forward_features(pixels)
        if tokens.ndim != 3:
            raise ValueError("the network has no tokens to pool; set pooling to none")
        parts = []
        if self.pooling != "patch_mean":
            parts.append(tokens[:, 0])
        if self.pooling != "class_token":
            parts.append(tokens[:, self.prefix :].mean(dim=1))
        norm = getattr(self.network, "fc_norm", nn.Identity())  # instead of one before pooling
        return torch.cat([norm(part) for part in parts], dim=1)


def build(recipe: Recipe) -> nn.Module:
    """The network of a recipe without weights and pooling.

    Raises UserInputError for an unknown architecture or for arguments that it does not take.
    """
    require_known(recipe.arch)
    arguments = {
        name: layer_named(value) if isinstance(value, str) else value
        for name, value in recipe.arguments.items()
    }
    try:
        network = built(recipe.arch, arguments)
    except MemoryError:
        raise
    except Exception as error:  # each network checks its arguments in its own way
        raise UserInputError(
            f"slides: {recipe.arch} cannot be built with the arguments of the encoder "
            f"({type(error).__name__}: {error})"
        ) from None
    if recipe.norm_eps is not None:
        for module in network.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = recipe.norm_eps
    return network


# Networks of our own that are made of one of timm: its name, and how it differs.
TRUNKS: dict[str, tuple[str, dict[str, Any]]] = {
    "ctranspath": ("swin_tiny_patch4_window7_224", {"embed_layer": ConvStem}),
    "conch_v1": ("vit_base_patch16_224", {"img_size": 448}),
    "conch_v1_5": ("vit_large_patch16_224", {"img_size": 448, "init_values": 1.0}),
}


def built(arch: str, arguments: dict[str, Any]) -> nn.Module:
    """A network of our own, or a model of timm."""
    if arch == "resnet50_trunc":
        return TruncatedResNet50()
    name, own = TRUNKS.get(arch, (arch, {}))
    network: nn.Module = timm.create_model(
        name, pretrained=False, **{"num_classes": 0, **own, **arguments}
    )
    if arch == "conch_v1":
        return ConchTower(network, 512, QueryAttention)
    if arch == "conch_v1_5":
        return ConchTower(network, 768, PlainQueryAttention)
    return network


def require_known(arch: str) -> None:
    """Raise UserInputError for a name, or a tag behind it, that timm does not know."""
    if arch in OWN:
        return
    known = timm.is_model(arch)
    try:
        timm.get_pretrained_cfg(arch)
    except RuntimeError:  # an unknown tag
        known = False
    if not known:
        raise UserInputError(
            f"slides: {arch!r} is neither an encoder of survfuse nor a model of timm "
            f"{timm.__version__}; see docs/reference/encoders.md and timm.list_models()"
        )


def statistics_of_tag(recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """The name by which timm knows the weights it has for an architecture, and their statistics.

    The latter by the names of `recipe.STATISTICS`.
    """
    tag = timm.get_pretrained_cfg(recipe.arch)
    usual = timm.data.resolve_data_config(pretrained_cfg=tag.to_dict() if tag else {})
    side = recipe.arguments.get("img_size", usual["input_size"][-1])
    name = ".".join(filter(None, (recipe.arch.partition(".")[0], tag.tag if tag else "")))
    return name, {
        "mean": tuple(usual["mean"]),
        "std": tuple(usual["std"]),
        "input_px": side if isinstance(side, int) else usual["input_size"][-1],
    }


def layer_named(value: str) -> Any:
    """A class of timm.layers or torch.nn by its path; any other text as it is."""
    for prefix, module in (("timm.layers.", timm.layers), ("torch.nn.", nn)):
        if value.startswith(prefix):
            if not hasattr(module, value.removeprefix(prefix)):
                raise UserInputError(f"slides: arguments of the encoder: there is no {value}")
            return getattr(module, value.removeprefix(prefix))
    return value


def open_residual_branches(network: nn.Module) -> None:
    """Undo timm's start value of zero for the last normalisation of residual branches.

    Training moves it away from zero; in an untrained network the convolutions would have no effect.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.weight is not None:
            nn.init.ones_(module.weight)


def prepared(network: nn.Module) -> nn.Module:
    """The network for inference, in the memory layout and form that is fastest on a CPU.

    Batch normalisation is folded into the convolutions of ResNets, whose graph can be traced.
    """
    network = network.eval().requires_grad_(False)
    if isinstance(network, TruncatedResNet50 | timm.models.ResNet):
        network = fuse(network)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
