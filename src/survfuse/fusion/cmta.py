"""CMTA: cross-modal translation and alignment of slides and gene groups.

Zhou and Chen, "Cross-Modal Translation and Alignment for Survival Analysis", ICCV 2023. Each
modality is encoded, translated into the other by cross-attention and decoded again; the decoded
translation is pulled towards what the modality's own encoder said. docs/models.md lists what
differs from the paper and why.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, elu, pad

from survfuse.fusion.bags import Grid, arrange, with_null
from survfuse.fusion.grouped import GroupedLinear
from survfuse.fusion.interface import Batch, FusionModel, Output, Shapes
from survfuse.fusion.nystrom import NystromAttention, SelfAttention

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
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.embed_groups = GroupEmbedding(shapes, width, dropout)
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
        on_tiles, over_groups = self.to_slides(tiles, groups, groups, need_weights=attention)
        on_groups, over_tiles = self.to_groups(
            groups, tiles, tiles, key_padding_mask=~mask, need_weights=attention
        )
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


class GroupEmbedding(nn.Module):
    """Two self-normalising layers per gene group: packed (B, W) -> (B, K, width)."""

    def __init__(self, shapes: Shapes, width: int, dropout: float) -> None:
        super().__init__()
        shapes.dim("omics")
        self.first = GroupedLinear(shapes.group_widths, GENE_HIDDEN)
        self.second = GroupedLinear([GENE_HIDDEN] * len(shapes.group_widths), width)
        self.dropout = nn.AlphaDropout(dropout)

    def forward(self, packed: Tensor) -> Tensor:
        hidden = self.dropout(elu(self.first(packed)))
        return self.dropout(elu(self.second(hidden.flatten(1))))


class TokenEncoder(nn.Module):
    """A class token and two residual attention layers.

    On a grid, for tiles: approximate attention, and a convolution between the layers. Off it, for
    the unordered gene groups: exact attention and nothing that knows an order.
    """

    def __init__(self, width: int, dropout: float, *, on_grid: bool) -> None:
        super().__init__()
        attention = NystromAttention if on_grid else SelfAttention
        self.cls = nn.Parameter(1e-6 * torch.randn(1, 1, width))
        self.first_norm = nn.LayerNorm(width)
        self.first = attention(width, dropout=dropout)
        self.position = GridConvolution(width) if on_grid else None
        self.second_norm = nn.LayerNorm(width)
        self.second = attention(width, dropout=dropout)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, mask: Tensor, grid: Grid | None = None
    ) -> tuple[Tensor, Tensor]:
        """tokens (B, n, width) -> class token (B, width) and the others (B, n, width)."""
        x = self.encode(tokens, mask, grid)
        return x[:, 0], x[:, 1:]

    def summary(self, tokens: Tensor, mask: Tensor, grid: Grid | None = None) -> Tensor:
        """Only the class token (B, width); the others' last layer is never computed."""
        return self.encode(tokens, mask, grid, rows=1)[:, 0]

    def encode(
        self, tokens: Tensor, mask: Tensor, grid: Grid | None, rows: int | None = None
    ) -> Tensor:
        x = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1)
        with_cls = pad(mask, (1, 0), value=True)
        x = x + self.first(self.first_norm(x), with_cls)
        if self.position is not None:
            x = torch.cat([x[:, :1], self.position(x[:, 1:], mask, grid)], dim=1)
        return self.norm(x[:, :rows] + self.second(self.second_norm(x), with_cls, rows))


class GridConvolution(nn.Module):
    """Add to each tile the 7 x 7, 5 x 5 and 3 x 3 depth-wise convolutions around its cell."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.middle = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.narrow = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, tiles: Tensor, mask: Tensor, grid: Grid) -> Tensor:
        """(B, N, width) -> the same. Cells without a tile are zero; tiles that share a cell enter
        it by their mean."""
        batch, _, width = tiles.shape
        cells = grid.rows * grid.columns
        place = (grid.cell + cells * torch.arange(batch, device=tiles.device)[:, None]).flatten()
        weight = mask.to(tiles.dtype).flatten()
        canvas = tiles.new_zeros(batch * cells, width)
        canvas = canvas.index_add(0, place, tiles.flatten(0, 1) * weight[:, None])
        count = tiles.new_zeros(batch * cells).index_add(0, place, weight).clamp(min=1)
        canvas = (canvas / count[:, None]).view(batch, grid.rows, grid.columns, width)
        # The three are linear, so that their sum is one convolution.
        kernel = self.wide.weight + pad(self.middle.weight, (1,) * 4)
        kernel = kernel + pad(self.narrow.weight, (2,) * 4)
        convolutions = (self.wide, self.middle, self.narrow)
        bias = sum((conv.get_parameter("bias") for conv in convolutions), kernel.new_zeros(width))
        around = conv2d(canvas.permute(0, 3, 1, 2), kernel, bias, padding=3, groups=width)
        around = around.permute(0, 2, 3, 1).reshape(batch * cells, width)
        return tiles + around.index_select(0, place).view_as(tiles)


def take(tokens: Tensor, order: Tensor) -> Tensor:
    """Reorder (B, N, D) along N by (B, N) indices."""
    start = len(order[0]) * torch.arange(len(order), device=order.device)[:, None]
    return tokens.flatten(0, 1).index_select(0, (order + start).flatten()).view_as(tokens)


def initialise(module: nn.Module) -> None:
    """Published initialisation: Xavier-normal linear weights, zero biases, the rest as in torch."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
