"""The regression generator: MONAI's residual U-Net on the absolute error within the mask."""

from __future__ import annotations

from torch import Tensor

from survfuse.config_synthesis import UNetConfig
from survfuse.synthesis.generator import (
    SEEN,
    WAVES,
    Generator,
    PairBatch,
    cut_to,
    gradient_l1,
    keep_no_activations,
    masked_l1,
    padded,
    with_waves,
)


class UNet(Generator):
    """Says the median of what the target may be, given the source."""

    def __init__(self, settings: UNetConfig, checkpointing: bool = False) -> None:
        from monai.networks.blocks import ResidualUnit
        from monai.networks.nets import UNet as Network

        super().__init__()
        self.gradient_weight = settings.gradient_weight
        halvings = len(settings.channels) - 1
        self.multiple = 2**halvings
        self.network = Network(
            3, SEEN + WAVES, 1, settings.channels, (2,) * halvings, num_res_units=2
        )
        if checkpointing:
            keep_no_activations(m for m in self.network.modules() if isinstance(m, ResidualUnit))

    def forward(self, seen: Tensor) -> Tensor:
        # Instance normalisation needs two voxels at the coarsest level.
        least = (1, 2 * self.multiple, 1)
        return cut_to(self.network(padded(with_waves(seen), self.multiple, least)), seen)

    def loss(self, batch: PairBatch) -> Tensor:
        made = self(batch.seen).float()
        return masked_l1(made, batch) + self.gradient_weight * gradient_l1(made, batch)
