"""Concatenation: one embedding per modality side by side, the plainest way to fuse.

Tiles are pooled by gated attention (Ilse et al., ICML 2018), genes go through a self-normalising
network (Klambauer et al., NeurIPS 2017), clinical covariates through one layer.
"""

from __future__ import annotations

import torch
from torch import nn

from survfuse.fusion.abmil import BagEmbedding
from survfuse.fusion.interface import Batch, FusionModel, Output, Shapes
from survfuse.fusion.snn import GeneEmbedding, initialise


class Concatenation(FusionModel):
    """[slides, genes, clinical] -> `width` -> bins.

    A patient without a modality gets a learned embedding, zero at the start, instead. Raises
    ValueError for data without slides, gene groups or clinical covariates.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 256,
        attention_width: int = 128,
        clinical_width: int = 32,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.slides = BagEmbedding(
            shapes, width=width, attention_width=attention_width, dropout=dropout
        )
        self.genes = GeneEmbedding(shapes, width=width, dropout=dropout).apply(initialise)
        self.clinical = nn.Sequential(
            nn.Linear(shapes.dim("clinical"), clinical_width), nn.ReLU(), nn.Dropout(dropout)
        )
        self.null_clinical = nn.Parameter(torch.zeros(clinical_width))
        self.head = nn.Sequential(
            nn.Linear(2 * width + clinical_width, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, shapes.n_bins),
        )

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output."""
        slides, weights = self.slides.pooled(batch)
        clinical = self.clinical(batch.values("clinical")[:, 0])
        clinical = torch.where(batch.has("clinical")[:, None], clinical, self.null_clinical)
        embeddings = {"slides": slides, "omics": self.genes.embedded(batch), "clinical": clinical}
        return Output(
            self.head(torch.cat(list(embeddings.values()), dim=1)),
            embeddings=embeddings,
            attention={"slides": weights} if attention else {},
        )
