"""The modalities of DisPro: their tokens, the selection of the best, and their placeholders."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, elu, pad, relu

from survfuse.models.networks.dispro.scoring import (
    Gate,
    evidence,
    in_precision_of,
    pick,
    similarity,
    top_mean,
)
from survfuse.models.networks.layers.encoder_layer import EncoderLayer, run_layers
from survfuse.models.networks.layers.grouped import GroupedLinear

GROUP_HEADS = 8
GROUP_HIDDEN = 512
SPARE = 32  # tiles ranked again in double precision beyond those that are selected


class Branch(nn.Module):
    """One modality: `adapter` makes tokens, `project` takes them to the space of the classes.

    `slots` is the number of its positions in the sequence, each with a learned placeholder.
    """

    def __init__(
        self, adapter: nn.Module, project: nn.Module, width: int, slots: int, dropout: float
    ) -> None:
        super().__init__()
        self.adapter = adapter
        self.project = project
        self.gate = Gate(width, dropout)
        self.placeholders = nn.Parameter(0.02 * torch.randn(slots, width))
        self.slots = slots

    def scored(
        self, tokens: Tensor, real: Tensor, anchors: Tensor, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores (B, N) by which tokens are ranked, and the classes (B,) they are evidence for.

        That class is the one with the most evidence in its best tokens, unless given; outcomes are
        not used, in training neither. Scores are minus infinity where nothing is real.
        anchors: (2, 2 K, width).
        """
        own = in_precision_of(tokens, self.gate)
        support = evidence(in_precision_of(tokens, self.project), anchors.to(tokens.dtype))
        wanted = top_mean(support, real).argmax(dim=1) if wanted is None else wanted
        index = wanted[:, None, None].expand(-1, tokens.shape[1], 1)
        scores = own + support.gather(2, index).squeeze(2)
        return scores.masked_fill(~real, float("-inf")), wanted

    def weighted(self, tokens: Tensor) -> Tensor:
        """The same tokens times 1 + (a - stop-gradient(a)): their scores a get a gradient."""
        score = self.gate(tokens, noisy=self.training)
        return tokens * (1.0 + (score - score.detach()))[:, :, None]

    def with_placeholders(self, tokens: Tensor, real: Tensor, has: Tensor) -> tuple[Tensor, Tensor]:
        """Ranked tokens (B, n, width) averaged with placeholders, or these alone; and their mask.

        real: (B, n) bool. has: (B,) bool. Positions that no patient of the batch needs are dropped.
        """
        length = tokens.shape[1] if has.all() else self.slots
        extra = length - tokens.shape[1]
        tokens, real = pad(tokens, (0, 0, 0, extra)), pad(real, (0, extra))
        placeholders = self.placeholders[:length]
        slot = torch.where(has[:, None, None], (tokens + placeholders) / 2, placeholders)
        return slot, real | ~has[:, None]


class TileBranch(Branch):
    """A bag of tiles (B, N, D), of which gradients need only those that are selected."""

    def __init__(self, dim: int, width: int, slots: int, dropout: float) -> None:
        adapter = nn.Sequential(nn.Linear(dim, width), nn.ReLU())
        super().__init__(adapter, nn.Identity(), width, slots, dropout)

    def by_class(self, tiles: Tensor, real: Tensor, anchors: Tensor) -> Tensor:
        """UniPro: similarity (B, 2 K) of the bag to its classes (2 K, width), by its best tiles."""
        return top_mean(similarity(self.project(self.adapter(tiles)), anchors), real)

    def ranked(self, tiles: Tensor, real: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, n, width) of the best tiles, best first, and their positions (B, n).

        Tiles that are not real come last.
        """
        by_rank = self.rank(tiles, real, anchors)
        return self.adapter(pick(tiles, by_rank)), by_rank

    @torch.no_grad()
    def rank(self, tiles: Tensor, real: Tensor, anchors: Tensor) -> Tensor:
        """Positions (B, n) of the best tiles.

        The position in the sequence depends on the rank, and scores of two among thousands of tiles
        can be as close as the rounding of single precision, which varies with the layout of the
        batch. Predictions therefore rank the best ones again in double precision.
        """
        count = min(self.slots, tiles.shape[1])
        scores, wanted = self.scored(self.adapter(tiles), real, anchors)
        if self.training:
            return scores.topk(count).indices
        near = scores.topk(min(count + SPARE, tiles.shape[1])).indices
        again = in_precision_of(pick(tiles, near).double(), self.adapter)
        scores, _ = self.scored(again, real.gather(1, near), anchors, wanted)
        return near.gather(1, scores.topk(count).indices)


class GroupBranch(Branch):
    """A fixed set of gene groups, packed (B, W)."""

    project: Projection

    def __init__(self, widths: tuple[int, ...], width: int, slots: int, dropout: float) -> None:
        adapter = GroupAdapter(widths, width, dropout)
        super().__init__(adapter, Projection(width, dropout), width, slots, dropout)
        self.groups = len(widths)

    def by_class(self, genes: Tensor, anchors: Tensor) -> Tensor:
        """UniPro: similarity (B, 2 K) of the mean group to its classes (2 K, width)."""
        return similarity(self.project.mean(self.adapter(genes)), anchors)

    def ranked(self, genes: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, n, width) of the best groups, best first, and which groups they are (B, n).

        In double precision for predictions, as with tiles.
        """
        tokens = in_precision_of(genes if self.training else genes.double(), self.adapter)
        every = torch.ones_like(tokens[:, :, 0], dtype=torch.bool)
        with torch.no_grad():
            scores, _ = self.scored(tokens, every, anchors)
        by_rank = scores.topk(self.slots).indices
        return pick(tokens, by_rank).to(self.placeholders.dtype), by_rank


class GroupAdapter(nn.Module):
    """Gene groups after self-attention among them: packed (B, W) -> (B, P, width).

    The first layer is the group's own, the second shared by all groups.
    """

    def __init__(self, widths: tuple[int, ...], width: int, dropout: float) -> None:
        super().__init__()
        self.first = GroupedLinear(widths, width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.AlphaDropout(dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(width, GROUP_HEADS, GROUP_HIDDEN, relu, dropout) for _ in range(2)
        )

    def forward(self, packed: Tensor) -> Tensor:
        hidden = self.dropout(elu(self.first(packed)))
        return run_layers(self.layers, self.dropout(elu(self.second(hidden))))


class Projection(nn.Module):
    """From tokens (..., width) of gene groups to the space of their classes."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, tokens: Tensor) -> Tensor:
        return self.linear(self.norm(tokens))

    def mean(self, tokens: Tensor) -> Tensor:
        """(B, P, width) -> (B, width): the mean of the projections, with dropout in training."""
        return self.linear(dropout(self.norm(tokens).mean(dim=1), self.dropout, self.training))
