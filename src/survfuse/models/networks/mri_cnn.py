"""MRI CNN: what ITCFN makes of the MRI, without attention and other modalities."""

from __future__ import annotations

import torch
from torch import nn

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes
from survfuse.models.networks.layers.regional_histogram import (
    BACKGROUND,
    RegionalIntensityHistogram,
)
from survfuse.models.networks.layers.volume_augmentation import random_view
from survfuse.models.networks.layers.volume_encoder import VolumeEncoder
from survfuse.models.networks.layers.zero_initialised import DEEP_INPUTS, ZeroInitialisedLinear


class MRIConvolution(FusionModel):
    """Encoder, mean over its tokens, one layer; plus a linear model of regional histograms.

    A patient without MRI gets a learned embedding, zero at the start, and no histogram. Options as
    in ITCFN. Raises ValueError for data without volumes and a width that does not divide.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        encoder_width: int = 8,
        encoder_blocks: int = 1,
        dropout: float = 0.2,
        augmentation: float = 0.3,
    ) -> None:
        super().__init__()
        self.shape = shapes.grid("mri")
        self.augmentation = augmentation
        self.encoder = VolumeEncoder(self.shape, width=encoder_width, blocks=encoder_blocks)
        self.null = nn.Parameter(torch.zeros(self.encoder.channels))
        self.dropout = nn.Dropout(dropout)
        self.head = ZeroInitialisedLinear(self.encoder.channels, shapes.n_bins, DEEP_INPUTS)
        self.histogram = RegionalIntensityHistogram(self.shape, shapes.n_bins)

    def forward(self, batch: Batch, attention: bool = False) -> Output:  # noqa: ARG002
        """See Batch and Output."""
        present = batch.has("mri")
        volumes = batch.values("mri")[present, 0].nan_to_num(BACKGROUND)
        kind = torch.zeros(len(volumes), dtype=torch.long, device=volumes.device)
        moved = self.training and self.augmentation > 0
        augmented = random_view(volumes, self.shape, self.augmentation) if moved else volumes
        pooled = self.encoder(augmented, kind).mean(dim=1)
        rows = present.nonzero()[:, 0]
        embedding = self.null.expand(len(present), -1).index_copy(0, rows, pooled)
        logits = self.head(self.dropout(embedding)).index_add(0, rows, self.histogram(volumes))
        return Output(logits, embeddings={"mri": embedding})
