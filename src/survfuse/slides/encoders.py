"""Networks that turn a tile into a vector: the only module that imports timm.

Weights come from a local file that the configuration names, or are drawn from a fixed seed for
demonstrations; nothing is ever downloaded, and pickled objects are refused.
"""

from __future__ import annotations

import json
import os
import pickle  # for the name of its error alone; nothing is unpickled
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from survfuse.config import SlideConfig
from survfuse.device import choose_device
from survfuse.errors import UserInputError
from survfuse.files import sha256_file
from survfuse.slides.encoder_settings import TRUNCATED, check_encoder
from survfuse.slides.reader import resized
from survfuse.slides.torchvision_shim import declare_missing_operators

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub client is imported, which timm does
declare_missing_operators()
import timm  # noqa: E402
import timm.data  # noqa: E402
import timm.layers  # noqa: E402
from torch.fx.experimental.optimization import fuse  # noqa: E402

UNTRAINED_SEED = 0


@dataclass(frozen=True)
class EncoderIdentity:
    """What an embedding depends on; written beside every embedding."""

    name: str  # with the options of the network, if any
    weights_sha256: str  # empty for untrained weights

    @property
    def label(self) -> str:
        """For reports: an untrained encoder must not pass for a trained one."""
        if not self.weights_sha256:
            return f"{self.name} (untrained, random weights)"
        return f"{self.name} (weights {self.weights_sha256[:12]})"


@dataclass(frozen=True)
class Encoder:
    """A network ready to embed tiles in 32-bit floats; safe to use from several threads."""

    identity: EncoderIdentity
    network: nn.Module
    device: torch.device
    input_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @cached_property
    def dim(self) -> int:
        """Width of an embedding."""
        return self.embed(np.zeros((1, self.input_px, self.input_px, 3), np.uint8)).shape[1]

    def embed(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings (B, D) of tiles (B, height, width, 3), which are resized as needed.

        Raises MemoryError also when it is the GPU whose memory runs out.
        """
        inputs = np.stack([resized(tile, self.input_px) for tile in tiles])
        mean = torch.tensor(self.mean, device=self.device).mul(255).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=self.device).mul(255).view(1, 3, 1, 1)
        try:
            with torch.inference_mode():
                # Channels stay last in memory, which is what convolutions on a CPU like best.
                pixels = torch.from_numpy(inputs).to(self.device).permute(0, 3, 1, 2).float()
                return self.network((pixels - mean) / std).cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from None


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


def identify(config: SlideConfig) -> EncoderIdentity:
    """Check the encoder's settings and hash its weights, without loading anything.

    Raises UserInputError for an unknown encoder, and what `check_encoder` raises.
    """
    check_encoder(config)
    name = config.encoder
    if name != TRUNCATED and not timm.is_model(name):
        raise UserInputError(
            f"slides.encoder: {name!r} is neither {TRUNCATED} nor a model of timm "
            f"{timm.__version__}; see timm.list_models()"
        )
    if config.encoder_options:
        name += json.dumps(config.encoder_options, sort_keys=True)
    return EncoderIdentity(name, sha256_file(config.weights) if config.weights else "")


def load_encoder(config: SlideConfig, identity: EncoderIdentity, device: str) -> Encoder:
    """Build the network, load its weights, and prepare it for inference.

    Raises UserInputError if the weights are not those of the network.
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
    settings = timm.data.resolve_model_data_config(backbone)
    return Encoder(
        identity=identity,
        network=prepared(network).to(target),
        device=target,
        input_px=settings["input_size"][1],
        mean=settings["mean"],
        std=settings["std"],
    )


def create_network(config: SlideConfig) -> nn.Module:
    """A timm model without weights. Raises UserInputError for options it does not take."""
    options: dict[str, Any] = {"num_classes": 0} | {
        name: layer_named(value) if isinstance(value, str) else value
        for name, value in config.encoder_options.items()
    }
    try:
        network: nn.Module = timm.create_model(config.encoder, pretrained=False, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise UserInputError(
            f"slides.encoder_options: {config.encoder} cannot be built with them ({error})"
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
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, AttributeError, EOFError) as e:
        raise UserInputError(
            f"slides.weights: {path} does not hold the weights of this encoder as plain named "
            f"tensors: {str(e).splitlines()[0]}"
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


@contextmanager
def single_threaded_operations() -> Iterator[None]:
    """Give every operation one thread, because slides are worked on side by side.

    This also keeps results independent of the number of slides in work: sums are always taken in
    the same order.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
