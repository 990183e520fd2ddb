"""Concatenation: one embedding per modality side by side, the plainest way to fuse.

Tiles are pooled by gated attention (Ilse et al., ICML 2018), genes go through a self-normalising
network (Klambauer et al., NeurIPS 2017), every other token, such as that of the clinical data,
through one layer of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from survfuse.models.networks.abmil import BagEmbedding
from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes
from survfuse.models.networks.snn import GeneEmbedding, initialise


class Concatenation(FusionModel):
    """[slides, genes, other tokens] -> `width` -> bins.

    It reads the modalities of its shapes. A patient without one gets a learned embedding, zero at
    the start, instead. Raises ValueError for volumes, of which one layer would learn nothing.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 256,
        attention_width: int = 128,
        token_width: int = 32,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict()
        widths = {"slides": width, "omics": width}
        for name, shape in shapes.tokens.items():
            if shape.grid is not None:
                raise ValueError(f"concatenation does not read volumes, such as {name}")
            if name == "slides":
                self.embeddings[name] = BagEmbedding(
                    shapes, width=width, attention_width=attention_width, dropout=dropout
                )
            elif name == "omics":
                genes = GeneEmbedding(shapes, width=width, dropout=dropout)
                self.embeddings[name] = genes.apply(initialise)
            else:
                self.embeddings[name] = TokenEmbedding(name, shape.width, token_width, dropout)
        self.head = nn.Sequential(
            nn.Linear(sum(widths.get(name, token_width) for name in shapes.tokens), width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, shapes.n_bins),
        )

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output."""
        embedded, weights = {}, {}
        for name, embedding in self.embeddings.items():
            if isinstance(embedding, BagEmbedding):
                embedded[name], weights[name] = embedding.pooled(batch)
            else:
                assert isinstance(embedding, GeneEmbedding | TokenEmbedding)
                embedded[name] = embedding.embedded(batch)
        return Output(
            self.head(torch.cat(list(embedded.values()), dim=1)),
            embeddings=embedded,
            attention=weights if attention else {},
        )


class TokenEmbedding(nn.Module):
    """The one token of a modality through one layer; a learned vector for patients without it."""

    def __init__(self, modality: str, dim: int, width: int, dropout: float) -> None:
        super().__init__()
        self.modality = modality
        self.layers = nn.Sequential(nn.Linear(dim, width), nn.ReLU(), nn.Dropout(dropout))
        self.null = nn.Parameter(torch.zeros(width))

    def embedded(self, batch: Batch) -> Tensor:
        """(B, width)."""
        token = self.layers(batch.values(self.modality)[:, 0])
        return torch.where(batch.has(self.modality)[:, None], token, self.null)
