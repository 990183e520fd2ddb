"""MRI CNN: what ITCFN makes of the MRI, without attention and other modalities."""

from __future__ import annotations

import torch
from torch import nn

from survfuse.fusion.from_zero import DEEP_INPUTS, FromZero
from survfuse.fusion.interface import Batch, FusionModel, Output, Shapes
from survfuse.fusion.shades import BACKGROUND, LocalShades
from survfuse.fusion.volume_augmentation import other_view
from survfuse.fusion.volume_encoder import VolumeEncoder, shape_of


class MRIConvolution(FusionModel):
    """Encoder, mean over its tokens, one layer; beside it what the local shades say by themselves.

    A patient without MRI gets a learned embedding, zero at the start, and no shades. Options as in
    ITCFN. Raises ValueError for data without volumes and a width that does not divide.
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
        self.shape = shape_of(shapes)
        self.augmentation = augmentation
        self.encoder = VolumeEncoder(self.shape, width=encoder_width, blocks=encoder_blocks)
        self.null = nn.Parameter(torch.zeros(self.encoder.channels))
        self.dropout = nn.Dropout(dropout)
        self.head = FromZero(self.encoder.channels, shapes.n_bins, DEEP_INPUTS)
        self.single = LocalShades(self.shape, shapes.n_bins)

    def forward(self, batch: Batch, attention: bool = False) -> Output:  # noqa: ARG002
        """See Batch and Output."""
        shown = batch.has("mri")
        volumes = batch.values("mri")[shown, 0].nan_to_num(BACKGROUND)
        kind = torch.zeros(len(volumes), dtype=torch.long, device=volumes.device)
        moved = self.training and self.augmentation > 0
        seen = other_view(volumes, self.shape, self.augmentation) if moved else volumes
        pooled = self.encoder(seen, kind).mean(dim=1)
        who = shown.nonzero()[:, 0]
        embedding = self.null.expand(len(shown), -1).index_copy(0, who, pooled)
        logits = self.head(self.dropout(embedding)).index_add(0, who, self.single(volumes))
        return Output(logits, embeddings={"mri": embedding})
