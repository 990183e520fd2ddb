"""MMP: a bag summarised by a few prototypes, with joint attention over them and the gene groups.

Song et al., "Multimodal Prototyping for Cancer Survival Prediction", ICML 2024, with the Gaussian
mixture of PANTHER (Song et al., CVPR 2024). Here prototypes are learned with everything else.
docs/reference/models.md lists what differs from the papers and why.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, softplus

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes
from survfuse.models.networks.layers.attention_shares import mean_shares
from survfuse.models.networks.layers.group_embedding import GroupEmbedding
from survfuse.models.networks.layers.grouped import GroupedLinear
from survfuse.models.networks.layers.nystrom import exact_attention

POSITION_WIDTH = 32  # of the learned embedding that identifies each token
PRIOR_TILES = 1.0  # how many tiles each prototype's prior is worth


class MMP(FusionModel):
    """C prototype tokens and K group tokens, one attention layer, a feed-forward layer per token.

    After the summary no cost depends on the number of tiles. dropout: of the group embeddings.
    mixing_dropout: between the layers after the attention. Raises ValueError for data without
    slides or gene groups, and for an odd width.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 256,
        prototypes: int = 16,
        dropout: float = 0.25,
        mixing_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError("width must be even")
        tokens = prototypes + len(shapes.groups("omics"))
        half = (width + POSITION_WIDTH) // 2
        self.prototypes = prototypes
        self.embed_slides = nn.Sequential(
            nn.Linear(shapes.dim("slides"), width), nn.LayerNorm(width)
        )
        self.mixture = Mixture(prototypes, width)
        self.embed_mixture = nn.Linear(1 + 2 * width, width)
        self.embed_groups = GroupEmbedding(shapes, width, width, dropout)
        self.null_slides = nn.Parameter(torch.zeros(width))
        self.null_groups = nn.Parameter(torch.zeros(width))
        self.position = nn.Parameter(torch.randn(tokens, POSITION_WIDTH))
        self.norm = nn.LayerNorm(width + POSITION_WIDTH)
        self.qkv = nn.Linear(width + POSITION_WIDTH, 3 * half, bias=False)
        self.first = GroupedLinear([half] * tokens, half)
        self.dropout = nn.Dropout(mixing_dropout)
        self.second = GroupedLinear([half] * tokens, half)
        self.last_norm = nn.LayerNorm(half)
        self.head = nn.Linear(2 * half, shapes.n_bins)

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output."""
        real, has_groups = batch.real("slides"), batch.has("omics")[:, None]
        summary, log_parts = self.mixture(self.embed_slides(batch.values("slides")), real)
        slides_tokens = torch.where(
            real.any(dim=1)[:, None, None], self.embed_mixture(summary), self.null_slides
        )
        groups = self.embed_groups(batch.values("omics")[:, 0])
        groups = torch.where(has_groups[:, :, None], groups, self.null_groups)
        tokens = torch.cat([slides_tokens, groups], dim=1)
        tokens = torch.cat([tokens, self.position.expand(len(tokens), -1, -1)], dim=2)

        q, k, v = self.qkv(self.norm(tokens))[:, None].chunk(3, dim=-1)
        mixed = self.feed_forward(exact_attention(q, k, v, None)[:, 0])
        count = self.prototypes
        slides, omics = mixed[:, :count].mean(dim=1), mixed[:, count:].mean(dim=1)
        logits = self.head(torch.cat([omics, slides], dim=1))
        embeddings = {"slides": slides, "omics": omics}
        if not attention:
            return Output(logits, embeddings=embeddings)
        every = real.new_ones(tokens.shape[:2])
        of_prototype = mean_shares(q[:, :, count:], k[:, :, :count], every[:, :count])
        of_group = mean_shares(q[:, :, :count], k[:, :, count:], every[:, count:])
        per_tile = (shares_within(log_parts, real) @ of_prototype[:, :, None]).squeeze(2)
        shares = {"slides": per_tile * real, "groups": of_group * has_groups}
        return Output(logits, embeddings=embeddings, attention=shares)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Two layers for each token on its own: (B, T, half) -> (B, T, half)."""
        x = layer_norm(x, x.shape[-1:])
        x = self.dropout(gelu(self.first(x.flatten(1))))
        return self.last_norm(self.second(x.flatten(1)))


def shares_within(log_parts: Tensor, real: Tensor) -> Tensor:
    """(B, N, C) share of each real tile in each prototype; a column of a patient sums to one.

    From logarithms, so that a prototype far from every tile has shares too.
    """
    lowest = torch.finfo(log_parts.dtype).min
    return log_parts.masked_fill(~real[:, :, None], lowest).softmax(dim=1)


class Mixture(nn.Module):
    """A bag as a mixture of C Gaussians with diagonal covariance, one EM step from a prior.

    The prior, which is learned: each component's mean and variances, as good as PRIOR_TILES tiles.
    Responsibilities are those of the likelihood to the power 1 / sqrt(d): in hundreds of dimensions
    the plain ones are zeros and ones, through which the prior could not be learned.
    """

    def __init__(self, components: int, width: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(components, width))
        self.raw_variance = nn.Parameter(torch.full((components, width), math.log(math.e - 1.0)))

    def forward(self, tiles: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """tiles (B, N, d), mask (B, N) -> one row per component, and log-responsibilities.

        Rows (B, C, 1 + 2 d): the weight, as a multiple of 1 / C, the means and the variances; those
        of the prior where no tile is real. Log-responsibilities (B, N, C).
        """
        with torch.autocast(tiles.device.type, enabled=False):  # differences of large numbers
            return self.em_step(tiles.to(self.mean.dtype), mask)

    def em_step(self, tiles: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        variance = softplus(self.raw_variance)
        log_parts = self.log_responsibilities(tiles, variance)
        parts = log_parts.exp() * mask[:, :, None]
        tiles_in = parts.sum(dim=1)[:, :, None] + PRIOR_TILES
        sums = parts.transpose(1, 2) @ tiles
        squares = parts.transpose(1, 2) @ tiles.square()
        mean = (sums + PRIOR_TILES * self.mean) / tiles_in
        second_moment = squares + PRIOR_TILES * (variance + self.mean.square())
        spread = second_moment / tiles_in - mean.square()
        weight = tiles_in / tiles_in.mean(dim=1, keepdim=True)
        return torch.cat([weight, mean, spread], dim=2), log_parts

    def log_responsibilities(self, tiles: Tensor, variance: Tensor) -> Tensor:
        """(B, N, C) log of the probability that a tile belongs to each component a priori."""
        squared = tiles.square() @ (1 / variance).T - 2 * tiles @ (self.mean / variance).T
        constant = (self.mean.square() / variance + variance.log()).sum(dim=1)
        log_likelihood = -0.5 * (squared + constant)
        return (log_likelihood / math.sqrt(tiles.shape[-1])).log_softmax(dim=-1)
