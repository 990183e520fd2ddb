"""A network that turns a tile into a vector: what it is, and how it is applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_json
from survfuse.modalities.slides.reading.reader import resized


@dataclass(frozen=True)
class EncoderIdentity:
    """What an embedding depends on; written beside every embedding."""

    encoder: str
    options: str  # JSON
    input_px: int
    mean: tuple[float, ...]  # of red, green, blue; 0 to 1
    std: tuple[float, ...]
    pooling: str
    weights_sha256: str  # empty for untrained weights

    @property
    def settings(self) -> str:
        """Everything but the weights, as JSON."""
        return json.dumps({**asdict(self), "weights_sha256": None}, sort_keys=True)

    @property
    def name(self) -> str:
        """Short, for directories: the encoder and a hash of settings and weights."""
        return f"{self.encoder}_{sha256_json(asdict(self))[:8]}"

    @property
    def label(self) -> str:
        """For reports: an untrained encoder must not pass for a trained one."""
        settings = f"settings {sha256_json(self.settings)[:8]}"
        if not self.weights_sha256:
            return f"{self.encoder} (untrained, random weights, {settings})"
        return f"{self.encoder} (weights {self.weights_sha256[:12]}, {settings})"

    def attributes(self) -> dict[str, str]:
        """What stands beside embeddings."""
        return {
            "encoder": self.encoder,
            "survfuse_encoder": self.label,
            "survfuse_encoder_settings": self.settings,
            "survfuse_weights_sha256": self.weights_sha256,
            "survfuse_precision": "float32",
        }


@dataclass(frozen=True)
class Encoder:
    """A network ready to embed tiles in 32-bit floats; safe to use from several threads."""

    identity: EncoderIdentity
    network: nn.Module
    device: torch.device

    @cached_property
    def dim(self) -> int:
        """Width of an embedding. Raises UserInputError if tiles do not give one vector each."""
        side = self.identity.input_px
        try:
            found = self.embed(np.zeros((2, side, side, 3), np.uint8))
        except MemoryError:
            raise
        except Exception as error:
            told = (str(error).splitlines() or [""])[0]
            raise UserInputError(
                f"slides: {self.identity.encoder} cannot embed tiles of {side} pixels "
                f"({type(error).__name__}: {told}); correct slides.input_px, slides.pooling or "
                "slides.encoder_options"
            ) from None
        if found.ndim != 2 or len(found) != 2 or not found.shape[1]:
            raise UserInputError(
                f"slides.pooling: {self.identity.encoder} gives {found.shape[1:]} numbers for a "
                "tile; needed is one vector: set class_token, patch_mean or class_and_patch_mean"
            )
        return int(found.shape[1])

    def embed(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings (B, D) of tiles (B, height, width, 3), which are resized as needed.

        Raises MemoryError also when it is the GPU whose memory runs out.
        """
        inputs = np.stack([resized(tile, self.identity.input_px) for tile in tiles])
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
