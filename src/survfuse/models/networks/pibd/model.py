"""PIBD: prototypes select tokens of slides and genes; common and specific are disentangled.

Zhang et al., "Prototypical Information Bottlenecking and Disentangling for Multimodal Cancer
Survival Prediction", ICLR 2024. docs/reference/models.md lists what differs from the paper and the
released code and why; above all, the outcome of a patient reaches the losses and never the network.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes, SurvivalTargets
from survfuse.models.networks.layers.group_embedding import GroupEmbedding
from survfuse.models.networks.pibd.bags import (
    SubBags,
    content_keys,
    random_keys,
    split_bags,
    unsplit_bags,
)
from survfuse.models.networks.pibd.club import Club
from survfuse.models.networks.pibd.disentangling import DisentanglingBlock
from survfuse.models.networks.pibd.prototypes import (
    PrototypeBottleneck,
    SelectedTokens,
    Selection,
    contrast,
    product_of_experts,
    risk_band,
)


class PIBD(FusionModel):
    """The published architecture (width 256) with free numbers of tiles, groups and bins.

    bag_size: tiles per sub-bag, at most. tiles_kept, groups_kept: shares in (0, 1] that pass the
    bottleneck. draws: how many draws from a prototype are averaged. vote_temperature: of the soft
    assignment of tokens to prototypes, in units of cosine. dropout: of the encoders; gene_dropout:
    of the group embeddings; block_dropout: of the transformer and of its residual branches.

    Weights of the losses, with the paper's letters: prototype_weight (gamma) of the contrast of own
    and other prototypes, prototype_nll_weight (alpha) and compression_weight (beta) of the
    bottleneck, club_weight (lambda) of the mutual information.

    Raises ValueError for data without slides or gene groups, without time bins, for a width that is
    not a multiple of 4, and for shares or rates outside their range.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 256,
        bag_size: int = 512,
        tiles_kept: float = 0.5,
        groups_kept: float = 0.8,
        draws: int = 50,
        vote_temperature: float = 0.1,
        dropout: float = 0.2,
        gene_dropout: float = 0.25,
        block_dropout: float = 0.1,
        prototype_weight: float = 1.0,
        prototype_nll_weight: float = 0.1,
        compression_weight: float = 0.01,
        club_weight: float = 0.1,
    ) -> None:
        super().__init__()
        slides_dim = shapes.dim("slides")
        if shapes.n_bins == 1:
            raise ValueError("its prototypes need time bins; set training.loss to nll")
        check_ranges(tiles_kept, groups_kept, vote_temperature, max(dropout, block_dropout))
        self.n_bins = shapes.n_bins
        self.bag_size = bag_size
        self.draws = draws
        self.prototype_weight = prototype_weight
        self.prototype_nll_weight = prototype_nll_weight
        self.compression_weight = compression_weight
        self.club_weight = club_weight
        self.embed_groups = GroupEmbedding(shapes, width, width, gene_dropout)
        self.slides, self.omics = (
            PrototypeBottleneck(
                dim,
                width,
                shapes.n_bins,
                share=share,
                dropout=dropout,
                draws=draws,
                temperature=vote_temperature,
            )
            for dim, share in ((slides_dim, tiles_kept), (width, groups_kept))
        )
        self.block = DisentanglingBlock(width, block_dropout)
        self.slides_omics = Club(width, 2 * width, width)
        self.specific_common = Club(2 * width, 2 * width, width)
        self.head = nn.Sequential(
            nn.Linear(3 * width, width), nn.ReLU(), nn.Linear(width, shapes.n_bins)
        )

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output; there are losses only where there are targets."""
        bags, selection = self.selected_tiles(batch)
        tiles = self.slides.read(selection)
        embedded = self.embed_groups(batch.values("omics")[:, 0])
        patients = unsplit_bags(batch.has("omics")[:, None].expand(embedded.shape[:2]))
        groups = self.omics(embedded.flatten(0, 1), patients)
        present = torch.stack([batch.has("slides"), batch.has("omics")])
        guide = self.guide(bags.average(tiles.votes), groups.votes, present)
        streams = self.block(
            tiles.tokens, tiles.attended, groups.tokens, groups.attended, guide, bags.owner
        )
        omics = streams.omics[bags.owner]
        logits = bags.average(self.head(torch.cat([streams.slides, omics, streams.common], dim=1)))
        slides, common = bags.average(streams.slides), bags.average(streams.common)
        losses: dict[str, Tensor] = {}
        if batch.survival_targets is not None:
            similarity = [bags.average(tiles.similarity), groups.similarity]
            losses = self.prototype_losses(
                similarity, [tiles.prototypes, groups.prototypes], present, batch.survival_targets
            )
            losses |= self.club_losses(slides, streams.omics, common, present.all(dim=0))
        embeddings = {"slides": slides, "omics": streams.omics}
        if not attention:
            return Output(logits, losses, embeddings)
        tile_shares = streams.tile_shares / bags.per_patient[bags.owner, None]
        shares = {
            "slides": scattered(tile_shares, tiles, batch.real("slides")),
            "groups": scattered(streams.group_shares, groups, patients.mask),
        }
        return Output(logits, losses, embeddings, shares)

    def selected_tiles(self, batch: Batch) -> tuple[SubBags, Selection]:
        """The sub-bags of tiles and the tiles that pass; all others are freed here."""
        values, real = batch.values("slides"), batch.real("slides")
        keys = random_keys(real) if self.training else content_keys(values)
        bags = split_bags(real, keys, self.bag_size)
        return bags, self.slides.select(values.flatten(0, 1), bags)

    def guide(self, tile_votes: Tensor, group_votes: Tensor, present: Tensor) -> Tensor:
        """(B, width) token that attends to what is common, from the prototypes voted for.

        The product of a unit Gaussian and one expert per modality a patient has: its mean, or in
        training the mean of some draws.
        """
        tile_mean, tile_variance = self.slides.expert(tile_votes)
        group_mean, group_variance = self.omics.expert(group_votes)
        mean, variance = product_of_experts(
            torch.stack([torch.zeros_like(tile_mean), tile_mean, group_mean]),
            torch.stack([torch.ones_like(tile_mean), tile_variance, group_variance]),
            torch.cat([torch.ones_like(present[:1]), present]),
        )
        if not self.training:
            return mean
        return mean + (variance / self.draws).sqrt() * torch.randn_like(mean)

    def prototype_losses(
        self,
        similarity: list[Tensor],
        prototypes: list[Tensor],
        present: Tensor,
        targets: SurvivalTargets,
    ) -> dict[str, Tensor]:
        """Equation 9 for both modalities; patients without a modality do not count in its part."""
        band = risk_band(targets, self.n_bins)
        contrasts = [
            (contrast(s, band) * has).sum() / has.sum().clamp(min=1)
            for s, has in zip(similarity, present, strict=True)
        ]
        nll = self.slides.nll(prototypes[0]) + self.omics.nll(prototypes[1])
        divergence = self.slides.divergence() + self.omics.divergence()
        return {
            "prototypes": self.prototype_weight * (contrasts[0] + contrasts[1]),
            "bottleneck": self.prototype_nll_weight * nll + self.compression_weight * divergence,
        }

    def club_losses(
        self, slides: Tensor, omics: Tensor, common: Tensor, both: Tensor
    ) -> dict[str, Tensor]:
        """Per dimension, over patients who have both modalities (B,) bool.

        Each vector is normalised first: mutual information does not depend on scale, but this bound
        does, and would be lowest for vectors that vanish. A bound below zero says that the
        estimator is behind, for mutual information is never negative; then nothing is minimised.
        """
        slides, omics, common = (layer_norm(x[both], x.shape[1:]) for x in (slides, omics, common))
        one, first = self.slides_omics(slides, omics)
        two, second = self.specific_common(torch.cat([slides, omics], dim=1), common)
        weight = self.club_weight / slides.shape[1]
        return {
            "information": weight * (one.clamp(min=0) + two.clamp(min=0)),
            "estimators": weight * (first + second),
        }


def scattered(shares: Tensor, kept: SelectedTokens, real: Tensor) -> Tensor:
    """Shares of kept tokens back in their places: (B, N), zero where nothing was kept."""
    every = shares.new_zeros(real.numel())
    return every.index_add(0, kept.source[kept.mask], shares[kept.mask]).view(real.shape)


def check_ranges(
    tiles_kept: float, groups_kept: float, vote_temperature: float, dropout: float
) -> None:
    """Raise ValueError naming the option that is out of its range."""
    for name, share in (("tiles_kept", tiles_kept), ("groups_kept", groups_kept)):
        if not 0 < share <= 1:
            raise ValueError(f"{name} must be above 0 and at most 1, found {share}")
    if not 0 < vote_temperature < math.inf:
        raise ValueError(f"vote_temperature must be above 0, found {vote_temperature}")
    if not 0 <= dropout <= 0.9:
        raise ValueError(f"dropout and block_dropout must be at most 0.9, found {dropout}")
