"""CMTA: cross-modal translation and alignment of slides and gene groups.

Zhou and Chen, "Cross-Modal Translation and Alignment for Survival Analysis", ICCV 2023. Each
modality is encoded, translated into the other by cross-attention and decoded again; the decoded
translation is pulled towards the output of the modality's own encoder. docs/reference/models.md
lists what differs from the paper and why.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes
from survfuse.models.networks.layers.bags import arrange, with_null
from survfuse.models.networks.layers.bernoulli_dropout import BernoulliDropout
from survfuse.models.networks.layers.cross_attention import attend_to_few, attend_to_many
from survfuse.models.networks.layers.group_embedding import GroupEmbedding
from survfuse.models.networks.layers.token_encoder import TokenEncoder, take

GENE_HIDDEN = 1024


class CMTA(FusionModel):
    """The published architecture ("small" is width 256) with free numbers of groups and bins.

    alignment_weight: weight of the L1 distance between each translation and its stop-gradient
    target, over patients who have both modalities. dropout: of embeddings. attention_dropout:
    after self-attention. Raises ValueError for data without slides or gene groups, and for a width
    that is not a multiple of 8.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 256,
        dropout: float = 0.25,
        attention_dropout: float = 0.1,
        alignment_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.alignment_weight = alignment_weight
        self.embed_slides = nn.Sequential(
            nn.Linear(shapes.dim("slides"), width),
            nn.ReLU(),
            BernoulliDropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
            BernoulliDropout(dropout),
        )
        self.embed_groups = GroupEmbedding(shapes, GENE_HIDDEN, width, dropout)
        self.null_slides = nn.Parameter(0.02 * torch.randn(width))
        self.null_groups = nn.Parameter(0.02 * torch.randn(width))
        self.encode_slides = TokenEncoder(width, attention_dropout, on_grid=True)
        self.decode_slides = TokenEncoder(width, attention_dropout, on_grid=True)
        self.encode_groups = TokenEncoder(width, attention_dropout, on_grid=False)
        self.decode_groups = TokenEncoder(width, attention_dropout, on_grid=False)
        self.to_slides = nn.MultiheadAttention(width, 1, batch_first=True)
        self.to_groups = nn.MultiheadAttention(width, 1, batch_first=True)
        self.fuse = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.head = nn.Linear(width, shapes.n_bins)
        self.apply(initialise)

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output; embeddings are the means of each modality's two summaries."""
        real = batch.real("slides")
        order, grid = arrange(real, batch.coords.get("slides"))
        tiles = self.embed_slides(take(batch.values("slides"), order))
        tiles, mask = with_null(tiles, real.gather(1, order), self.null_slides)
        groups = self.embed_groups(batch.values("omics")[:, 0])
        has_groups = batch.has("omics")
        groups = torch.where(has_groups[:, None, None], groups, self.null_groups)
        every = mask.new_ones(groups.shape[:2])

        slides, tiles = self.encode_slides(tiles, mask, grid)
        omics, groups = self.encode_groups(groups, every)
        on_tiles, over_groups = attend_to_few(self.to_slides, tiles, groups)
        on_groups, over_tiles = attend_to_many(self.to_groups, groups, tiles, mask)
        slides_again = self.decode_slides.summary(on_tiles, mask, grid)
        omics_again = self.decode_groups.summary(on_groups, every)

        embeddings = {"slides": (slides + slides_again) / 2, "omics": (omics + omics_again) / 2}
        fused = self.fuse(torch.cat([embeddings["slides"], embeddings["omics"]], dim=1))
        distance = alignment_distance(slides, slides_again)
        distance = distance + alignment_distance(omics, omics_again)
        both = real.any(dim=1) & has_groups
        losses = {
            "alignment": self.alignment_weight * (distance * both).sum() / both.sum().clamp(min=1)
        }
        if not attention:
            return Output(self.head(fused), losses, embeddings)
        per_tile = torch.zeros_like(over_tiles[:, 0]).scatter(1, order, over_tiles.mean(dim=1))
        per_group = (over_groups * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        shares = {"slides": per_tile * real, "groups": per_group * has_groups[:, None]}
        return Output(self.head(fused), losses, embeddings, shares)


def alignment_distance(target: Tensor, translated: Tensor) -> Tensor:
    """(B, width) twice -> (B,) mean absolute difference; the target is held fixed."""
    return (target.detach() - translated).abs().mean(dim=1)


def initialise(module: nn.Module) -> None:
    """Published initialisation: Xavier-normal linear weights, zero biases, the rest as in torch."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
