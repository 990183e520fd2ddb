"""SurvPath: gene groups and tiles attend to each other, but tiles not to tiles.

Jaume et al., "Modeling Dense Multimodal Interactions Between Biological Pathways and Histology for
Survival Prediction", CVPR 2024. docs/reference/models.md lists what differs from the paper and why.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes
from survfuse.models.networks.layers.attention_shares import mean_shares
from survfuse.models.networks.layers.bags import with_null
from survfuse.models.networks.layers.group_embedding import GroupEmbedding
from survfuse.models.networks.layers.nystrom import exact_attention


class SurvPath(FusionModel):
    """The published architecture (width 256) with free numbers of groups and bins.

    Leaving out the attention among tiles keeps the cost linear in their number. dropout: of the
    group embeddings. mixing_dropout: between the layers after the attention. Raises ValueError for
    data without slides or gene groups, and for a width that is not a multiple of 4.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 256,
        dropout: float = 0.25,
        mixing_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % 4:
            raise ValueError("width must be a multiple of 4")
        half = width // 2
        self.embed_slides = nn.Linear(shapes.dim("slides"), width)
        self.embed_groups = GroupEmbedding(shapes, width, width, dropout)
        self.null_slides = nn.Parameter(torch.zeros(width))
        self.null_groups = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * half, bias=False)
        self.mix = nn.Sequential(
            nn.LayerNorm(half),
            nn.Linear(half, half),
            nn.GELU(),
            nn.Dropout(mixing_dropout),
            nn.Linear(half, half),
            nn.LayerNorm(half),
        )
        self.head = nn.Sequential(
            nn.Linear(width, width // 4), nn.ReLU(), nn.Linear(width // 4, shapes.n_bins)
        )

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output."""
        real, has_groups = batch.real("slides"), batch.has("omics")[:, None]
        tiles, mask = with_null(self.embed_slides(batch.values("slides")), real, self.null_slides)
        groups = self.embed_groups(batch.values("omics")[:, 0])
        groups = torch.where(has_groups[:, :, None], groups, self.null_groups)
        every = mask.new_ones(groups.shape[:2])

        q_groups, k_groups, v_groups = self.projected(groups)
        q_tiles, k_tiles, v_tiles = self.projected(tiles)
        by_groups = exact_attention(
            q_groups,
            torch.cat([k_groups, k_tiles], dim=2),
            torch.cat([v_groups, v_tiles], dim=2),
            torch.cat([every, mask], dim=1),
        )
        by_tiles = exact_attention(q_tiles, k_groups, v_groups, None)
        omics = self.mix(by_groups[:, 0]).mean(dim=1)
        slides = (self.mix(by_tiles[:, 0]) * mask[:, :, None]).sum(dim=1)
        slides = slides / mask.sum(dim=1, keepdim=True)

        logits = self.head(torch.cat([omics, slides], dim=1))
        embeddings = {"slides": slides, "omics": omics}
        if not attention:
            return Output(logits, embeddings=embeddings)
        attended = {
            "slides": mean_shares(q_groups, k_tiles, mask) * real,
            "groups": mean_shares(q_tiles, k_groups, every, mask) * has_groups,
        }
        return Output(logits, embeddings=embeddings, attention=attended)

    def projected(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the one head: (B, n, width) -> (B, 1, n, width / 2) each."""
        q, k, v = self.qkv(self.norm(tokens))[:, None].chunk(3, dim=-1)
        return q, k, v
