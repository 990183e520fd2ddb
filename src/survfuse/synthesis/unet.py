"""The regression generator: MONAI's residual U-Net on the absolute error within the mask."""

from __future__ import annotations

from torch import Tensor

from survfuse.config.synthesis import UNetConfig
from survfuse.synthesis.generator import (
    FOURIER_CHANNELS,
    INPUT_CHANNELS,
    Generator,
    PairBatch,
    cut_to,
    gradient_l1,
    masked_l1,
    padded,
    use_checkpointing,
    with_fourier_features,
)


class UNet(Generator):
    """Estimates the median of the target, given the source."""

    def __init__(self, settings: UNetConfig, checkpointing: bool = False) -> None:
        from monai.networks.blocks import ResidualUnit
        from monai.networks.nets import UNet as Network

        super().__init__()
        self.gradient_weight = settings.gradient_weight
        halvings = len(settings.channels) - 1
        self.multiple = 2**halvings
        self.network = Network(
            3,
            INPUT_CHANNELS + FOURIER_CHANNELS,
            1,
            settings.channels,
            (2,) * halvings,
            num_res_units=2,
        )
        if checkpointing:
            use_checkpointing(m for m in self.network.modules() if isinstance(m, ResidualUnit))

    def forward(self, inputs: Tensor) -> Tensor:
        # Instance normalisation needs two voxels at the coarsest level.
        least = (1, 2 * self.multiple, 1)
        return cut_to(
            self.network(padded(with_fourier_features(inputs), self.multiple, least)), inputs
        )

    def loss(self, batch: PairBatch) -> Tensor:
        made = self(batch.inputs).float()
        return masked_l1(made, batch) + self.gradient_weight * gradient_l1(made, batch)
