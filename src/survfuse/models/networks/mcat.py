"""MCAT: gene groups attend to the tiles, and both are summarised and concatenated.

Chen et al., "Multimodal Co-Attention Transformer for Survival Prediction in Gigapixel Whole Slide
Images", ICCV 2021. docs/reference/models.md lists what differs from the paper and why.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes
from survfuse.models.networks.layers.attention_shares import mean_shares
from survfuse.models.networks.layers.bags import with_null
from survfuse.models.networks.layers.group_embedding import GroupEmbedding
from survfuse.models.networks.layers.nystrom import exact_attention

HEADS = 8
LAYERS = 2


class MCAT(FusionModel):
    """The published architecture ("small" is width 256) with free numbers of groups and bins.

    After the co-attention there is one token per gene group for each modality, so that only one
    layer costs more for more tiles. Raises ValueError for data without slides or gene groups, and
    for a width that is not a multiple of 8.
    """

    def __init__(self, shapes: Shapes, *, width: int = 256, dropout: float = 0.25) -> None:
        super().__init__()
        if width % HEADS:
            raise ValueError(f"width must be a multiple of {HEADS}, the number of heads")
        self.embed_slides = nn.Sequential(
            nn.Linear(shapes.dim("slides"), width), nn.ReLU(), nn.Dropout(dropout)
        )
        self.embed_groups = GroupEmbedding(shapes, width, width, dropout)
        self.null_slides = nn.Parameter(torch.zeros(width))
        self.null_groups = nn.Parameter(torch.zeros(width))
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.guided = nn.Linear(width, width)
        self.summarise_slides = TokenSummary(width, dropout)
        self.summarise_groups = TokenSummary(width, dropout)
        self.fuse = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.head = nn.Linear(width, shapes.n_bins)

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output."""
        real, has_groups = batch.real("slides"), batch.has("omics")[:, None]
        tiles, mask = with_null(self.embed_slides(batch.values("slides")), real, self.null_slides)
        groups = self.embed_groups(batch.values("omics")[:, 0])
        groups = torch.where(has_groups[:, :, None], groups, self.null_groups)

        q, k, v = (x[:, None] for x in (self.query(groups), self.key(tiles), self.value(tiles)))
        guided = self.guided(exact_attention(q, k, v, mask)[:, 0])
        slides, _ = self.summarise_slides(guided)
        omics, over_groups = self.summarise_groups(groups)

        logits = self.head(self.fuse(torch.cat([slides, omics], dim=1)))
        embeddings = {"slides": slides, "omics": omics}
        if not attention:
            return Output(logits, embeddings=embeddings)
        shares = {"slides": mean_shares(q, k, mask) * real, "groups": over_groups * has_groups}
        return Output(logits, embeddings=embeddings, attention=shares)


class TokenSummary(nn.Module):
    """Two transformer layers over a set of tokens, gated-attention pooling, and one layer."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(width, HEADS, 2 * width, dropout, batch_first=True)
                for _ in range(LAYERS)
            )
        )
        self.values = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Dropout(dropout))
        self.gates = nn.Sequential(nn.Linear(width, width), nn.Sigmoid(), nn.Dropout(dropout))
        self.score = nn.Linear(width, 1)
        self.out = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, width), all of them real -> the summary (B, width) and its weights (B, K)."""
        tokens = self.layers(tokens)
        weights = self.score(self.values(tokens) * self.gates(tokens)).squeeze(2).softmax(dim=1)
        return self.out((weights[:, None] @ tokens).squeeze(1)), weights
