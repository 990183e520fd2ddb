"""The network of this package: a sparse sum of effects, and factors whose products interact.

Cohorts have hundreds of patients and thousands of inputs, so the model is as small as the question
allows. Log-hazards add over columns, because independent causes multiply hazards; few columns have
an effect, which an L1 penalty decides; and of two modalities a few factors, made of the columns
that have one, act together. All of this is solved for (`solve.py`), not trained by steps. An absent
modality adds nothing. docs/reference/models.md has the ablation that led here.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from survfuse.models.networks.interface import Batch, Output, Shapes, SolvedModel, SumOfLosses
from survfuse.models.networks.sparse_factors.problems import products
from survfuse.models.networks.sparse_factors.solve import Columns, solve

MODALITIES = ("slides", "omics", "clinical")
KNOWN = "clinical"  # columns that are known to matter, under no L1 penalty
CLIP = 10.0  # standard deviations that a column is held within
LEAST_SPREAD = 1e-6  # columns that vary less between patients are constant up to rounding


class SparseFactors(SolvedModel):
    """Any subset of slides, genes and covariates -> hazards.

    factors: of each two modalities. interactions: whether there are any. Raises ValueError where a
    modality is lacking.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shapes: Shapes, *, factors: int = 2, interactions: bool = True) -> None:
        super().__init__()
        self.widths = shapes.groups("omics")
        tiles, genes = 2 * shapes.dim("slides"), shapes.dim("omics") + len(self.widths)
        self.sizes = [tiles, genes, shapes.dim("clinical")]
        self.pairs = tuple(combinations(range(len(MODALITIES)), 2)) if interactions else ()
        self.rank = factors
        self.register_buffer("mean", torch.zeros(sum(self.sizes)))
        self.register_buffer("scale", torch.ones(sum(self.sizes)))
        self.effects = nn.Parameter(torch.zeros(sum(self.sizes)))
        self.left = nn.Parameter(torch.zeros(sum(self.sizes), factors * len(self.pairs)))
        self.right = nn.Parameter(torch.zeros_like(self.left))
        self.n_bins = shapes.n_bins

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output; embeddings are what each modality adds to the log-hazard."""
        x = self.standardised(self.read(batch), self.has(batch))
        each = (x * self.effects).split(self.sizes, dim=1)
        added = {n: own.sum(dim=1) for n, own in zip(MODALITIES, each, strict=True)}
        ratio = torch.stack([*added.values(), products(x, self.left, self.right)]).sum(dim=0)
        embeddings = {name: values[:, None] for name, values in added.items()}
        weights = {}
        if attention:
            groups = self.group_effects(each[MODALITIES.index("omics")])
            weights["slides"] = shares(self.tile_effects(batch), batch.real("slides"))
            weights["groups"] = shares(groups, batch.has("omics")[:, None])
        return Output(ratio[:, None].expand(-1, self.n_bins), {}, embeddings, weights)

    def read(self, batch: Batch) -> Tensor:
        """(B, p): mean and mean square of tiles; genes and means of groups; covariates."""
        real = batch.real("slides")
        share = real / real.sum(dim=1, keepdim=True).clamp(min=1)
        tiles = (share[:, None] @ moments(batch.values("slides"))).squeeze(1)
        genes = batch.values("omics")[:, 0]
        means = self.group_sums(genes) / torch.tensor(self.widths, device=genes.device)
        return torch.cat([tiles, genes, means, batch.values("clinical")[:, 0]], dim=1)

    def has(self, batch: Batch) -> Tensor:
        """(B, 3) bool: who has which of MODALITIES."""
        return torch.stack([batch.has(name) for name in MODALITIES], dim=1)

    def standardised(self, columns: Tensor, has: Tensor) -> Tensor:
        """(B, p): the average training patient is 0, and so is who lacks the modality."""
        scaled = ((columns - self.mean) * self.scale).clamp(-CLIP, CLIP)
        return torch.where(has[:, self.owner(columns.device)], scaled, 0.0)

    def owner(self, device: torch.device | str = "cpu") -> Tensor:
        """(p,) which of MODALITIES each column is of."""
        sizes = torch.tensor(self.sizes, device=device)
        return torch.repeat_interleave(torch.arange(len(MODALITIES), device=device), sizes)

    def solve(
        self, columns: Tensor, has: Tensor, loss: SumOfLosses, folds: Tensor
    ) -> dict[str, Any]:
        """See SolvedModel; describes the penalties, and how many columns have an effect."""
        owner = self.owner()
        shown = has[:, owner]
        own = torch.where(shown, columns.double(), torch.nan)
        mean = own.nanmean(dim=0)
        spread = (own - mean).square().nanmean(dim=0).sqrt()
        self.mean.copy_(mean.nan_to_num(0.0))
        self.scale.copy_(torch.where(spread > LEAST_SPREAD, 1 / spread, 0.0))
        x = self.standardised(columns, has).double()
        found, penalties = solve(
            Columns(x, owner, owner == MODALITIES.index(KNOWN)),
            self.pairs,
            self.rank,
            loss,
            folds,
        )
        with torch.no_grad():
            self.effects.copy_(found.effect)
            self.left.copy_(found.left)
            self.right.copy_(found.right)
        counts = [int((found.effect[owner == place] != 0).sum()) for place in range(3)]
        return {**penalties, "columns": dict(zip(MODALITIES, counts, strict=True))}

    def group_sums(self, genes: Tensor) -> Tensor:
        """(B, W) packed genes -> (B, K) sum over each group."""
        widths = torch.tensor(self.widths, device=genes.device)
        owner = torch.repeat_interleave(torch.arange(len(widths), device=genes.device), widths)
        return genes.new_zeros(len(genes), len(widths)).index_add(1, owner, genes)

    def group_effects(self, each: Tensor) -> Tensor:
        """(B, K) additive effect of each gene group, of those of the columns of genes."""
        genes, means = each.split([each.shape[1] - len(self.widths), len(self.widths)], dim=1)
        return self.group_sums(genes) + means

    def tile_effects(self, batch: Batch) -> Tensor:
        """(B, N) additive effect of each tile; their mean is that of the slides."""
        size = self.sizes[0]
        centred = (moments(batch.values("slides")) - self.mean[:size]) * self.scale[:size]
        return centred @ self.effects[:size]


def moments(tiles: Tensor) -> Tensor:
    """(B, N, D) -> (B, N, 2 D): what is averaged over tiles, themselves and their squares."""
    return torch.cat([tiles, tiles.square()], dim=2)


def shares(effects: Tensor, real: Tensor) -> Tensor:
    """(B, N) each token's part of the summed absolute effects; even where there are none."""
    size = torch.where(real, effects.abs() + 1e-12, 0.0)
    return size / size.sum(dim=1, keepdim=True).clamp(min=1e-30)
