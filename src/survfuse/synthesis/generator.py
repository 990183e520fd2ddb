"""What all generators have in common: what they are given, how they learn, what they return."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from survfuse.modalities.volumes.intensity import BACKGROUND

FOURIER_CHANNELS = 6  # that `with_fourier_features` adds
INPUT_CHANNELS = 4  # of every generator: the source and three coordinates


@dataclass(frozen=True)
class PairBatch:
    """Some patients' volumes, or pieces of them; `mask` is the brain of the source."""

    inputs: Tensor  # (B, INPUT_CHANNELS, I, J, K): source in 0..1, background 0; coordinates -1..1
    target: Tensor  # (B, 1, I, J, K) in -1..1, background -1
    mask: Tensor  # (B, 1, I, J, K) float, 0 or 1

    def to(self, device: torch.device) -> PairBatch:
        """The batch on another device."""
        return PairBatch(self.inputs.to(device), self.target.to(device), self.mask.to(device))


class Generator(nn.Module, ABC):
    """Makes the volume of one modality from that of the other.

    `forward` takes inputs (B, INPUT_CHANNELS + noise_channels, I, J, K) of volumes or pieces of any
    size and returns the target (B, 1, I, J, K), without a mask and without clipping.
    """

    noise_channels = 0  # channels of standard normal noise that `forward` needs besides the inputs
    draws = 1  # how often it is asked with other noise; the answers are averaged
    half_precision = False  # whether losses are computed in bf16

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """The target."""

    @abstractmethod
    def loss(self, batch: PairBatch) -> Tensor:
        """What training reduces."""

    def arithmetic(self, batch: PairBatch) -> torch.autocast:
        """The precision that training computes losses in; weights and updates are in fp32."""
        return torch.autocast(batch.target.device.type, torch.bfloat16, enabled=self.half_precision)

    def optimisers(self, learning_rate: float) -> list[torch.optim.Optimizer]:
        """The optimisers that `step` is given."""
        return [
            torch.optim.AdamW(self.parameters(), lr=learning_rate, weight_decay=1e-4, fused=True)
        ]

    def step(
        self,
        batch: PairBatch,
        epoch: int,  # noqa: ARG002 other generators change with it
        optimisers: Sequence[torch.optim.Optimizer],
    ) -> dict[str, float]:
        """One step of training; returns what the log shows, `loss` among it."""
        with self.arithmetic(batch):
            loss = self.loss(batch)
        optimisers[0].zero_grad()
        loss.backward()
        optimisers[0].step()
        return {"loss": float(loss.detach())}

    def validation_loss(self, batch: PairBatch) -> Tensor:
        """What the best epoch is chosen by: the mean absolute error within the mask."""
        return masked_l1(self(batch.inputs), batch)


def masked_l1(made: Tensor, batch: PairBatch) -> Tensor:
    """Mean absolute error within the mask, over all voxels of the batch."""
    return ((made - batch.target).abs() * batch.mask).sum() / batch.mask.sum().clamp(min=1)


def gradient_l1(made: Tensor, batch: PairBatch) -> Tensor:
    """Mean absolute error of the differences between neighbours, both of them within the mask."""
    error = made - batch.target
    total = error.new_zeros(())
    for axis in (2, 3, 4):
        length = error.shape[axis] - 1
        both = batch.mask.narrow(axis, 1, length) * batch.mask.narrow(axis, 0, length)
        total = total + (error.diff(dim=axis).abs() * both).sum() / both.sum().clamp(min=1)
    return total / 3


def inputs_of(source: Tensor, mask: Tensor) -> Tensor:
    """Inputs (INPUT_CHANNELS, I, J, K) of a generator: a source (I, J, K) in -1..1 and its mask.

    The coordinates give it the position in the brain, also for a piece of a volume. Everything
    but the coordinates is 0 outside the mask, whatever lies there.
    """
    inside = torch.where(mask, (source - BACKGROUND) / 2, torch.zeros_like(source))
    axes = [torch.linspace(-1, 1, side, dtype=source.dtype) for side in source.shape]
    return torch.stack([inside, *torch.meshgrid(*axes, indexing="ij")])


def with_fourier_features(inputs: Tensor) -> Tensor:
    """The inputs (B, INPUT_CHANNELS, I, J, K) with sines and cosines of the source's intensity.

    PET is high where an MRI is of middling intensity. A network takes long to learn a function that
    rises and falls; of these it is nearly a sum. They are 0 outside the brain.
    """
    source = inputs[:, :1]
    inside = (source > 0).to(source.dtype)
    angles = [math.pi * number * source for number in range(1, FOURIER_CHANNELS // 2 + 1)]
    features = [wave(angle) * inside for angle in angles for wave in (torch.sin, torch.cos)]
    return torch.cat([inputs, *features], 1)


def padded(volume: Tensor, multiple: int, least: tuple[int, int, int] = (1, 1, 1)) -> Tensor:
    """The volume (B, C, I, J, K) with zeros at the far ends, up to multiples and a least size."""
    ends: list[int] = []
    for side, low in zip(reversed(volume.shape[2:]), reversed(least), strict=True):
        wanted = max(-(-side // multiple) * multiple, low)
        ends += [0, wanted - side]
    return functional.pad(volume, ends)


def cut_to(volume: Tensor, like: Tensor) -> Tensor:
    """The volume without what `padded` added."""
    i, j, k = like.shape[2:]
    return volume[:, :, :i, :j, :k]


def use_checkpointing(blocks: Iterable[nn.Module]) -> None:
    """Let these blocks compute their activations again in the backward pass instead of keeping."""
    for block in blocks:
        block.forward = recomputing(block.forward)


def recomputing(forward: Any) -> Any:
    """A forward pass that keeps its inputs only."""

    def run(*inputs: Any, **named: Any) -> Any:
        return checkpoint(forward, *inputs, use_reentrant=False, **named)

    return run
