"""Rectified flow from noise to the target, given the source (Liu et al., arXiv:2209.03003).

x_t = (1 - t) noise + t target; the network learns the velocity target - noise at any t, eq. 1, and
sampling follows it in a few steps. Blocks of voxels become channels first, which loses nothing and
makes the network's volumes smaller, where latent diffusion would need an autoencoder.
"""

from __future__ import annotations

import torch
from torch import Tensor

from survfuse.config.synthesis import FlowConfig
from survfuse.synthesis.generator import (
    FOURIER_CHANNELS,
    INPUT_CHANNELS,
    Generator,
    PairBatch,
    cut_to,
    padded,
    use_checkpointing,
    with_fourier_features,
)

GROUPS = 8
TIME_SCALE = 1000.0  # the network's sines and cosines are made for times up to here
CHECKED_AT = (0.1, 0.3, 0.5, 0.7, 0.9)  # times at which the validation loss is taken


class Flow(Generator):
    """Draws what the target may look like; the average of draws is its expectation."""

    noise_channels = 1

    def __init__(self, settings: FlowConfig, checkpointing: bool = False) -> None:
        from monai.networks.nets import DiffusionModelUNet

        super().__init__()
        self.fold, self.steps, self.draws = settings.fold, settings.steps, settings.draws
        levels, width = len(settings.channels), settings.fold**3
        self.multiple = settings.fold * 2 ** (levels - 1)
        self.network = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=(1 + INPUT_CHANNELS + FOURIER_CHANNELS) * width,
            out_channels=width,
            channels=settings.channels,
            num_res_blocks=[1] * levels,
            attention_levels=[False] * levels,
            norm_num_groups=GROUPS,
            num_head_channels=GROUPS,
        )
        if checkpointing:
            blocks = (*self.network.down_blocks, self.network.middle_block, *self.network.up_blocks)
            use_checkpointing(blocks)

    def forward(self, inputs: Tensor) -> Tensor:
        """One draw; the last channel of `inputs` is its noise."""
        given, x = (
            self.folded(with_fourier_features(inputs[:, :INPUT_CHANNELS])),
            self.folded(inputs[:, INPUT_CHANNELS:]),
        )
        for step in range(self.steps):
            time = torch.full((len(x),), step / self.steps, device=x.device)
            x = x + self.velocity(x, given, time) / self.steps
        return cut_to(unfolded(x, self.fold), inputs)

    def loss(self, batch: PairBatch) -> Tensor:
        time = torch.rand(len(batch.target), device=batch.target.device)
        return self.velocity_error(batch, torch.randn_like(batch.target), time)

    def validation_loss(self, batch: PairBatch) -> Tensor:
        """The velocity's error at fixed times from fixed noise, which costs less than drawing."""
        noise = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(0))
        noise = noise.to(batch.target.device)
        times = [torch.full((len(noise),), at, device=noise.device) for at in CHECKED_AT]
        return torch.stack([self.velocity_error(batch, noise, time) for time in times]).mean()

    def velocity_error(self, batch: PairBatch, noise: Tensor, time: Tensor) -> Tensor:
        """Mean squared error of the velocity within the mask; `time` (B,) runs from noise, 0."""
        share = time[:, None, None, None, None]
        mixed = (1 - share) * noise + share * batch.target
        predicted = self.velocity(
            self.folded(mixed), self.folded(with_fourier_features(batch.inputs)), time
        )
        error = (cut_to(unfolded(predicted, self.fold), noise) - (batch.target - noise)).square()
        return (error * batch.mask).sum() / batch.mask.sum().clamp(min=1)

    def velocity(self, x: Tensor, given: Tensor, time: Tensor) -> Tensor:
        """The network's velocity at `time` (B,) of folded volumes."""
        return self.network(torch.cat([x, given], 1), time * TIME_SCALE).float()

    def folded(self, volume: Tensor) -> Tensor:
        """Blocks of voxels as channels, of the padded volume."""
        return folded(padded(volume, self.multiple), self.fold)


def folded(volume: Tensor, fold: int) -> Tensor:
    """(B, C, I, J, K) to (B, C fold^3, I / fold, J / fold, K / fold), nothing lost."""
    b, c, i, j, k = volume.shape
    parts = volume.reshape(b, c, i // fold, fold, j // fold, fold, k // fold, fold)
    return parts.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(
        b, c * fold**3, i // fold, j // fold, k // fold
    )


def unfolded(volume: Tensor, fold: int) -> Tensor:
    """The inverse of `folded`."""
    b, c, i, j, k = volume.shape
    parts = volume.reshape(b, c // fold**3, fold, fold, fold, i, j, k)
    return parts.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(
        b, c // fold**3, i * fold, j * fold, k * fold
    )
