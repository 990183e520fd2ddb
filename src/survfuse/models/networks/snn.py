"""SNN: a self-normalising network on the genes alone.

Klambauer et al., NeurIPS 2017; two layers of 256 with ELU, as used for survival in MCAT (Chen et
al., ICCV 2021).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes


class GeneEmbedding(nn.Module):
    """Packed gene groups -> `width` -> `width`; `initialise` is left to the owner.

    A patient without genes gets a learned embedding, zero at the start, instead. Raises ValueError
    for data without gene groups.
    """

    def __init__(self, shapes: Shapes, *, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(shapes.dim("omics"), width),
            nn.ELU(),
            nn.AlphaDropout(dropout),
            nn.Linear(width, width),
            nn.ELU(),
            nn.AlphaDropout(dropout),
        )
        self.null = nn.Parameter(torch.zeros(width))

    def embedded(self, batch: Batch) -> Tensor:
        """(B, width)."""
        genes = self.layers(batch.values("omics")[:, 0])
        return torch.where(batch.has("omics")[:, None], genes, self.null)


class SNN(GeneEmbedding, FusionModel):
    """Packed gene groups -> 256 -> 256 -> bins. See GeneEmbedding."""

    def __init__(self, shapes: Shapes, *, width: int = 256, dropout: float = 0.25) -> None:
        super().__init__(shapes, width=width, dropout=dropout)
        self.head = nn.Linear(width, shapes.n_bins)
        self.apply(initialise)

    def forward(self, batch: Batch, attention: bool = False) -> Output:  # noqa: ARG002
        """See Batch and Output. There is no attention to return."""
        embedding = self.embedded(batch)
        return Output(self.head(embedding), embeddings={"omics": embedding})


def initialise(module: nn.Module) -> None:
    """Keep the variance of the inputs through the layers: weights N(0, 1 / fan in), biases zero."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=1.0 / math.sqrt(module.in_features))
        nn.init.zeros_(module.bias)
