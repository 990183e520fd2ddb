"""ABMIL: gated-attention multiple-instance learning on the slides alone.

Ilse et al., "Attention-based Deep Multiple Instance Learning", ICML 2018, equation 9.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes
from survfuse.models.networks.layers.bags import with_null


class BagEmbedding(nn.Module):
    """A bag as the attention-weighted mean of its embedded tiles; their order is irrelevant.

    A patient without slides gets a learned embedding, zero at the start, as the only tile. Raises
    ValueError for data without slides.
    """

    def __init__(self, shapes: Shapes, *, width: int, attention_width: int, dropout: float) -> None:
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

    def pooled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Embedding (B, width) and weights of the tiles (B, N), zero without slides."""
        real = batch.real("slides")
        tiles, mask = with_null(self.embed(batch.values("slides")), real, self.null)
        scores = self.score(self.values(tiles) * self.gates(tiles)).squeeze(2)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=1)
        return (weights[:, None] @ tiles).squeeze(1), weights * real


class ABMIL(BagEmbedding, FusionModel):
    """Tiles -> `width` each, their attention-weighted mean -> bins. See BagEmbedding."""

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 256,
        attention_width: int = 128,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(shapes, width=width, attention_width=attention_width, dropout=dropout)
        self.head = nn.Linear(width, shapes.n_bins)

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output."""
        embedding, weights = self.pooled(batch)
        return Output(
            self.head(embedding),
            embeddings={"slides": embedding},
            attention={"slides": weights} if attention else {},
        )
