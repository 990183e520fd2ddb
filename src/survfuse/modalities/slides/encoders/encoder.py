"""A network that turns a tile into a vector: what it is, and how it is applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_json
from survfuse.modalities.slides.reading.reader import Image, resized


@dataclass(frozen=True)
class EncoderIdentity:
    """What an embedding depends on; written beside every embedding."""

    encoder: str  # preset or architecture
    arch: str  # empty where the file holds the whole network
    arguments: str  # JSON
    input_px: int
    resize_px: int  # side that tiles are resized to; the centre of input_px is what is seen
    mean: tuple[float, ...]  # of red, green and blue; 0 to 1
    std: tuple[float, ...]
    pooling: str
    norm_eps: float | None  # None: the architecture's own
    position_offset: float | None  # see `key_names.resized_positions`
    format: str
    weights_sha256: str  # empty for untrained weights
    stated_by: str = ""  # what says mean, std and input_px; no embedding depends on it

    @property
    def computing(self) -> dict[str, Any]:
        """Everything that changes an embedding."""
        values = {**asdict(self), "arguments": json.loads(self.arguments)}
        del values["stated_by"]
        return values

    @property
    def settings(self) -> str:
        """Everything but the weights, as JSON."""
        return json.dumps({**self.computing, "weights_sha256": None}, sort_keys=True)

    @property
    def name(self) -> str:
        """Short, for directories: the encoder and a hash of settings and weights."""
        return f"{self.encoder}_{sha256_json(self.computing)[:8]}"

    @property
    def label(self) -> str:
        """For reports: an untrained encoder must not pass for a trained one."""
        settings = f"settings {sha256_json(self.settings)[:8]}"
        if not self.weights_sha256:
            return f"{self.encoder} (untrained, random weights, {settings})"
        return f"{self.encoder} (weights {self.weights_sha256[:12]}, {settings})"

    @property
    def pixels(self) -> str:
        """How pixels are prepared and what says so, for the manifest."""
        side = f"{self.input_px} px"
        if self.resize_px != self.input_px:
            side += f" of {self.resize_px}"
        mean, std = (" ".join(f"{one:g}" for one in values) for values in (self.mean, self.std))
        return f"{side}; mean {mean}; std {std}; by {self.stated_by}"

    def attributes(self) -> dict[str, str]:
        """What stands beside embeddings."""
        return {
            "encoder": self.encoder,
            "survfuse_encoder": self.label,
            "survfuse_encoder_settings": self.settings,
            "survfuse_pixels": self.pixels,
            "survfuse_weights_sha256": self.weights_sha256,
            "survfuse_precision": "float32",
        }


@dataclass(frozen=True)
class Encoder:
    """A network ready to embed tiles in 32-bit floats; safe to use from several threads."""

    identity: EncoderIdentity
    network: nn.Module
    device: torch.device
    width: int | None = None  # expected numbers in an embedding; None: any

    @cached_property
    def dim(self) -> int:
        """Width of an embedding. Raises UserInputError if tiles do not give one vector each."""
        side, name = self.identity.resize_px, self.identity.encoder
        try:
            found = self.embed(np.zeros((2, side, side, 3), np.uint8))
        except MemoryError:
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [""])[-1]
            raise UserInputError(
                f"slides: {name} cannot embed tiles of {self.identity.input_px} pixels "
                f"({type(error).__name__}: {reason}); correct input_px, pooling or the arguments "
                "of the encoder"
            ) from None
        if found.ndim != 2 or len(found) != 2 or not found.shape[1]:
            raise UserInputError(
                f"slides: {name} gives {found.shape[1:]} numbers for a tile; needed is one vector: "
                "set pooling to class_token, patch_mean or class_and_patch_mean, or export a "
                "network that gives one"
            )
        if self.width not in (None, found.shape[1]):
            raise UserInputError(
                f"slides: {name} gives {found.shape[1]} numbers for a tile instead of "
                f"{self.width}; correct pooling, arch or the weights, or set the width you expect"
            )
        return int(found.shape[1])

    def embed(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings (B, D) of tiles (B, height, width, 3), which are resized as needed.

        Raises MemoryError also when it is the GPU whose memory runs out.
        """
        inputs = np.stack([self.seen(tile) for tile in tiles])
        mean, std = (
            torch.tensor(values, device=self.device).mul(255).view(1, 3, 1, 1)
            for values in (self.identity.mean, self.identity.std)
        )
        try:
            with torch.inference_mode():
                # Channels stay last in memory, which is what convolutions on a CPU like best.
                pixels = torch.from_numpy(inputs).to(self.device).permute(0, 3, 1, 2).float()
                return self.network((pixels - mean) / std).cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from None

    def seen(self, tile: NDArray[np.uint8]) -> Image:
        """The part of a tile (height, width, 3) that the network sees, at its size."""
        whole, side = resized(tile, self.identity.resize_px), self.identity.input_px
        first = (self.identity.resize_px - side) // 2
        return whole[first : first + side, first : first + side]


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
