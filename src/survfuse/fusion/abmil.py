"""ABMIL: gated-attention multiple-instance learning on the slides alone.

Ilse et al., "Attention-based Deep Multiple Instance Learning", ICML 2018, equation 9.
"""

from __future__ import annotations

import torch
from torch import nn

from survfuse.fusion.bags import with_null
from survfuse.fusion.interface import Batch, FusionModel, Output, Shapes


class ABMIL(FusionModel):
    """Tiles -> 256 each, their attention-weighted mean -> bins; the order of tiles is irrelevant.

    A patient without slides gets a learned embedding, zero at the start, as the only tile. Raises
    ValueError for data without slides.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 256,
        attention_width: int = 128,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(shapes.dim("slides"), width), nn.ReLU(), nn.Dropout(dropout)
        )
        self.null = nn.Parameter(torch.zeros(width))
        self.values = nn.Sequential(
            nn.Linear(width, attention_width), nn.Tanh(), nn.Dropout(dropout)
        )
        self.gates = nn.Sequential(
            nn.Linear(width, attention_width), nn.Sigmoid(), nn.Dropout(dropout)
        )
        self.score = nn.Linear(attention_width, 1)
        self.head = nn.Linear(width, shapes.n_bins)

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        real = batch.real("slides")
        tiles, mask = with_null(self.embed(batch.values("slides")), real, self.null)
        scores = self.score(self.values(tiles) * self.gates(tiles)).squeeze(2)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=1)
        embedding = (weights[:, None] @ tiles).squeeze(1)
        return Output(
            self.head(embedding),
            embeddings={"slides": embedding},
            attention={"slides": weights * real} if attention else {},
        )
