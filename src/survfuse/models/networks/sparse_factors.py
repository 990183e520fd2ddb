"""The model of this package: few sparse factors per modality, their sum and their products.

Cohorts have hundreds of patients and thousands of inputs, so the model is as small as the question
allows. Each modality becomes a few factors, linear in its inputs and held sparse; log-hazards add
over factors, because independent causes multiply hazards; and products of factors are the
interactions of modalities. Covariates, which are few, also have effects of their own, past the
factors and their penalty. An absent modality adds nothing, and what it shares with the others is
taken over by them. docs/reference/models.md has the ablation that led here.
"""

from __future__ import annotations

import math
from itertools import combinations, permutations

import torch
from torch import Tensor, nn

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes

MODALITIES = ("slides", "omics", "clinical")
ORDERED = tuple(permutations(MODALITIES, 2))
PAIRS = tuple(combinations(MODALITIES, 2))
# Adam moves every weight by about the learning rate; few weights of standardised inputs need larger
# steps than the deep models that share its setting. All of them are stored at a tenth.
GAIN = 10.0
# Part of the variance of tiles that lies between patients. The mean of a bag keeps it, and of the
# rest, which averages out, what its size leaves.
BETWEEN_PATIENTS = 0.25
# Thousands of single genes would drown the means of their groups; they may move a tenth as fast.
SINGLE_GENES = 0.1
# Noise in a mean falls with the square root of patients, and so does the penalty against it.
REFERENCE_PATIENTS = 256
START = 0.02  # of the weights, so that factors differ from each other


class SparseFactors(FusionModel):
    """Any subset of slides, genes and covariates -> hazards.

    factors: per modality. concepts: soft clusters of tiles whose shares are read beside the mean.
    sparsity: weight of the L1 norm of the factors at 256 training patients. dropout: of inputs.
    interactions: whether products of factors count. Raises ValueError where a modality is lacking.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        factors: int = 2,
        concepts: int = 8,
        sparsity: float = 0.03,
        dropout: float = 0.1,
        interactions: bool = True,
    ) -> None:
        super().__init__()
        self.sparsity = sparsity * math.sqrt(REFERENCE_PATIENTS / shapes.patients)
        self.widths = shapes.groups("omics")
        sizes = {
            "slides": shapes.dim("slides") + concepts,
            "omics": shapes.dim("omics") + len(shapes.groups("omics")),
            "clinical": shapes.dim("clinical"),
        }
        self.concepts = nn.Linear(shapes.dim("slides"), concepts)
        self.weights = parameters({name: (size, factors) for name, size in sizes.items()}, 0.0)
        for weight in self.weights.values():
            nn.init.normal_(weight, std=START / GAIN)
        # Covariates have effects of their own too, whatever the penalty makes of their factors.
        self.covariates = nn.Parameter(torch.zeros(shapes.dim("clinical")))
        self.effects = parameters(dict.fromkeys(MODALITIES, (factors,)), 0.0)
        for effect in self.effects.values():
            nn.init.normal_(effect, std=0.5 / GAIN)
        self.stand_ins = parameters({f"{a} for {b}": (factors,) for a, b in ORDERED}, 0.0)
        self.products = parameters(
            {f"{a} x {b}": (factors, factors) for a, b in PAIRS} if interactions else {}, 0.0
        )
        self.by_bin = nn.Parameter(torch.zeros(shapes.n_bins))
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output; embeddings are the factors, zero where a modality is absent."""
        has = {name: batch.has(name) for name in MODALITIES}
        tiles = self.describe(batch.values("slides"))
        share = batch.real("slides") / batch.real("slides").sum(dim=1, keepdim=True).clamp(min=1)
        genes = batch.values("omics")[:, 0]
        inputs = {
            "slides": (share[:, None] @ tiles).squeeze(1) / spread_of_mean(batch.real("slides")),
            "omics": torch.cat([SINGLE_GENES * genes, self.group_means(genes)], dim=1),
            "clinical": batch.values("clinical")[:, 0],
        }
        factors = {
            name: GAIN * (self.dropout(values) @ self.weights[name]) * has[name][:, None]
            for name, values in inputs.items()
        }
        known = GAIN * (inputs["clinical"] @ self.covariates) * has["clinical"]
        ratio = self.log_ratio(factors, has) + known
        losses = {}
        if batch.targets is not None:
            norms = [weight.abs().sum() for weight in self.weights.values()]
            losses["sparsity"] = self.sparsity * GAIN * torch.stack(norms).sum()
        logits = ratio[:, None] * (1 + self.by_bin)
        weights = {}
        if attention:
            weights["slides"] = shares(self.tile_effects(tiles, has), batch.real("slides"))
            weights["groups"] = shares(self.group_effects(genes, has), has["omics"][:, None])
        return Output(logits, losses, factors, weights)

    def describe(self, tiles: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D + concepts): each tile and its membership of each concept."""
        return torch.cat([tiles, self.concepts(tiles).sigmoid() - 0.5], dim=2)

    def group_means(self, genes: Tensor) -> Tensor:
        """(B, W) packed genes -> (B, K) mean of each group."""
        widths = torch.tensor(self.widths, device=genes.device)
        owner = torch.repeat_interleave(torch.arange(len(widths), device=genes.device), widths)
        sums = genes.new_zeros(len(genes), len(widths)).index_add(1, owner, genes)
        return sums / widths

    def effect(self, name: str, has: dict[str, Tensor]) -> Tensor:
        """(B, factors) log-hazard ratio per unit of each factor, given which others are absent."""
        effect = self.effects[name].expand(len(has[name]), -1)
        for other in MODALITIES:
            if other != name:
                taken_over = self.stand_ins[f"{name} for {other}"]
                effect = effect + torch.where(has[other][:, None], 0.0, taken_over)
        return GAIN * effect

    def log_ratio(self, factors: dict[str, Tensor], has: dict[str, Tensor]) -> Tensor:
        """(B,) log-hazard ratio."""
        ratio = sum((self.effect(name, has) * factors[name]).sum(dim=1) for name in MODALITIES)
        for pair in self.products:
            one, other = pair.split(" x ")
            product = (factors[one] @ self.products[pair]) * factors[other]
            ratio = ratio + GAIN * product.sum(dim=1)
        return torch.as_tensor(ratio)

    def tile_effects(self, tiles: Tensor, has: dict[str, Tensor]) -> Tensor:
        """(B, N) additive effect of each tile, up to a constant factor."""
        each = tiles @ self.weights["slides"]
        return (each @ self.effect("slides", has)[:, :, None]).squeeze(2)

    def group_effects(self, genes: Tensor, has: dict[str, Tensor]) -> Tensor:
        """(B, K) additive effect of each gene group, up to a constant factor."""
        weight = self.effect("omics", has) @ self.weights["omics"].T
        own, of_means = weight.split([genes.shape[1], len(self.widths)], dim=1)
        means = self.group_means(genes)
        widths = torch.tensor(self.widths, device=genes.device)
        return SINGLE_GENES * self.group_means(own * genes) * widths + of_means * means


def parameters(sizes: dict[str, tuple[int, ...]], value: float) -> nn.ParameterDict:
    """Named parameters, all with the same value."""
    return nn.ParameterDict(
        {name: nn.Parameter(torch.full(size, value)) for name, size in sizes.items()}
    )


def spread_of_mean(real: Tensor) -> Tensor:
    """(B, 1) standard deviation between patients of the mean of the tiles `real` (B, N) marks.

    In units of the standard deviation of a tile: 1 for a bag of one, a half for a large one.
    """
    size = real.sum(dim=1, keepdim=True).clamp(min=1)
    return (BETWEEN_PATIENTS + (1 - BETWEEN_PATIENTS) / size).sqrt()


def shares(effects: Tensor, real: Tensor) -> Tensor:
    """(B, N) each token's part of the summed absolute effects; even where there are none."""
    size = torch.where(real, effects.abs() + 1e-12, 0.0)
    return size / size.sum(dim=1, keepdim=True).clamp(min=1e-30)
