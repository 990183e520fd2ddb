"""The regression generator: MONAI's BasicUNet on the absolute error within the mask."""

from __future__ import annotations

from torch import Tensor

from survfuse.config_synthesis import UNetConfig
from survfuse.synthesis.generator import (
    SEEN,
    Generator,
    PairBatch,
    cut_to,
    gradient_l1,
    keep_no_activations,
    masked_l1,
    padded,
)

MULTIPLE, LEAST = 16, (16, 32, 16)  # four halvings, and two voxels left to normalise over


class UNet(Generator):
    """Says the median of what the target may be, given the source."""

    def __init__(self, settings: UNetConfig, checkpointing: bool = False) -> None:
        from monai.networks.nets import BasicUNet

        super().__init__()
        self.gradient_weight = settings.gradient_weight
        channels = [*settings.channels, settings.channels[0]]
        self.network = BasicUNet(3, SEEN, 1, channels)
        if checkpointing:
            keep_no_activations(block for name, block in self.network.named_children())

    def forward(self, seen: Tensor) -> Tensor:
        return cut_to(self.network(padded(seen, MULTIPLE, LEAST)), seen)

    def loss(self, batch: PairBatch) -> Tensor:
        made = self(batch.seen).float()
        return masked_l1(made, batch) + self.gradient_weight * gradient_l1(made, batch)
