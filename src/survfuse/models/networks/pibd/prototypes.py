"""The prototypical information bottleneck of PIBD, and products of Gaussian experts.

Zhang et al., ICLR 2024, section 3.2. One prototype, a Gaussian in the latent space, stands for each
risk band: a time bin with an event in it, or with censoring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, pad, softplus

from survfuse.models.networks.interface import SurvivalTargets
from survfuse.models.networks.pibd.bags import SubBags
from survfuse.models.networks.pibd.encoder import ROWS_AT_A_TIME, SelectiveEncoder
from survfuse.tasks.survival.hazards import discrete_nll

CENSORED_WEIGHT = 0.5  # of prototypes that stand for censored patients, as published


@dataclass(frozen=True)
class Selection:
    """Which tokens of S sub-bags pass the bottleneck, R in all and at most k of each.

    rows: (R, in_width). activations: of the three layers of the encoder for them. mask: (S, k)
    bool. source: (S, k) index of each among all rows. prototypes: (2 n_bins, width), as drawn.
    """

    rows: Tensor
    activations: list[Tensor]
    source: Tensor
    mask: Tensor
    prototypes: Tensor


@dataclass(frozen=True)
class SelectedTokens:
    """The tokens that pass the bottleneck in S sub-bags, at most k of each.

    tokens: (S, k, width), the null token wherever mask (S, k) is false. attended: (S, k) bool, the
    mask, and one null token for an empty sub-bag. source: (S, k) index of each among all rows.
    similarity: (S, 2 n_bins) mean cosine of the kept tokens with each prototype. votes: (S, 2
    n_bins) their mean soft assignment, which sums to one; both zero for an empty sub-bag.
    prototypes: (2 n_bins, width), as drawn.
    """

    tokens: Tensor
    mask: Tensor
    attended: Tensor
    source: Tensor
    similarity: Tensor
    votes: Tensor
    prototypes: Tensor


class PrototypeBottleneck(nn.Module):
    """Encodes the tokens of a modality and keeps the share most like any of its prototypes.

    share: in (0, 1]. draws: how many draws from a prototype are averaged in training. temperature:
    of the votes, in units of cosine.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        n_bins: int,
        *,
        share: float,
        dropout: float,
        draws: int,
        temperature: float,
    ) -> None:
        super().__init__()
        self.share = share
        self.draws = draws
        self.temperature = temperature
        self.encoder = SelectiveEncoder(in_width, width, dropout)
        self.prototypes = nn.Parameter(torch.empty(2 * n_bins, 2 * width))
        nn.init.xavier_uniform_(self.prototypes)
        self.decoder = nn.Linear(width, n_bins)
        self.null = nn.Parameter(0.02 * torch.randn(width))

    def forward(self, rows: Tensor, bags: SubBags) -> SelectedTokens:
        """What passes. rows: (R, in_width), indexed by bags.token."""
        return self.read(self.select(rows, bags))

    def select(self, rows: Tensor, bags: SubBags) -> Selection:
        """The first half of `forward`, after which the rows are no longer needed."""
        mean, std = self.gaussians()
        drawn = mean_of_draws(mean, std, self.draws) if self.training else mean
        count = kept_count(bags.mask.sum(dim=1), self.share)
        mask = torch.arange(max(1, int(count.max())), device=rows.device) < count[:, None]
        source, results = self.most_similar(rows, bags, mask, drawn)
        return Selection(rows.index_select(0, source[mask]), results, source, mask, drawn)

    def read(self, selection: Selection) -> SelectedTokens:
        """The second half of `forward`: the tokens that pass, and their votes for prototypes."""
        mask, drawn = selection.mask, selection.prototypes
        encoded = self.encoder.with_stored_activations(selection.rows, *selection.activations)
        place = (mask.flatten().cumsum(0) - 1).view(mask.shape)
        tokens = embedding(
            place.where(mask, len(encoded)), torch.cat([encoded, self.null[None].to(encoded.dtype)])
        )
        count = mask.sum(dim=1, keepdim=True)
        cosines = cosine(tokens, drawn)
        share = (mask / count.clamp(min=1))[:, None].to(cosines.dtype)
        similarity = (share @ cosines).squeeze(1)
        votes = (share @ (cosines / self.temperature).softmax(dim=2)).squeeze(1)
        attended = mask | pad(count == 0, (0, mask.shape[1] - 1))
        return SelectedTokens(tokens, mask, attended, selection.source, similarity, votes, drawn)

    @torch.no_grad()
    def most_similar(
        self, rows: Tensor, bags: SubBags, mask: Tensor, drawn: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Source (S, k) of the tokens to keep, and the encoder's activations for them.

        mask: (S, k) bool, as many true values per row as are kept. A few sub-bags are encoded at a
        time, so that what is not kept is soon freed.
        """
        sources, results = [], list[Tensor]()
        filled = 0
        at_a_time = max(1, ROWS_AT_A_TIME // bags.mask.shape[1])
        for part in zip(*(x.split(at_a_time) for x in (bags.token, bags.mask, mask)), strict=True):
            token, real, keep = part
            layers = self.encoder(rows.index_select(0, token[real]))
            best = torch.full(real.shape, float("-inf"), device=rows.device)
            best[real] = cosine(layers[2], drawn).amax(dim=1).float()
            slot = best.topk(mask.shape[1], dim=1).indices
            sources.append(token.gather(1, slot))
            place = (real.flatten().cumsum(0) - 1).view(real.shape).gather(1, slot)[keep]
            if not results:
                total = int(mask.sum())
                results = [layer.new_empty(total, layer.shape[1]) for layer in layers]
            for result, layer in zip(results, layers, strict=True):
                result[filled : filled + len(place)] = layer[place]
            filled += len(place)
        return torch.cat(sources), results

    def gaussians(self) -> tuple[Tensor, Tensor]:
        """Means and standard deviations of the prototypes, (2 n_bins, width) each."""
        mean, raw = self.prototypes.chunk(2, dim=1)
        return mean, softplus(raw)

    def expert(self, votes: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2 n_bins) votes -> mean and variance (B, width) of their mixture of prototypes."""
        mean, std = self.gaussians()
        centre = votes @ mean
        return centre, votes @ (std.square() + mean.square()) - centre.square()

    def nll(self, drawn: Tensor) -> Tensor:
        """Loss of the decoder, which predicts from each prototype its risk band; a scalar."""
        return prototype_nll(self.decoder(drawn))

    def divergence(self) -> Tensor:
        """Mean Kullback-Leibler divergence of the prototypes from the unit Gaussian, a scalar."""
        return kl_from_unit(*self.gaussians()).mean()


def kept_count(tokens: Tensor, share: float) -> Tensor:
    """(S,) numbers of tokens -> floor(share * tokens), but at least one of any."""
    count = (share * tokens.double() + 1e-6).floor().long()  # 0.7 * 10 is a little less than 7
    return torch.minimum(count.clamp(min=1), tokens)


def cosine(tokens: Tensor, prototypes: Tensor) -> Tensor:
    """(..., width) and (P, width) -> (..., P)."""
    lengths = tokens.norm(dim=-1, keepdim=True) * prototypes.norm(dim=1)
    return tokens @ prototypes.T / lengths.clamp(min=1e-8)


def mean_of_draws(mean: Tensor, std: Tensor, draws: int) -> Tensor:
    """The mean of that many Gaussian draws, which is itself Gaussian: one is drawn."""
    return mean + std * torch.randn_like(mean) / math.sqrt(draws)


def risk_band(targets: SurvivalTargets, n_bins: int) -> Tensor:
    """(B,) the prototype of each patient's risk band: the time bin, plus n_bins when censored."""
    return targets.bins + n_bins * (~targets.event).long()


def contrast(similarity: Tensor, band: Tensor) -> Tensor:
    """(B, P) similarities -> (B,) those with all other prototypes, on average, less the own one."""
    own = similarity.gather(1, band[:, None]).squeeze(1)
    return (similarity.sum(dim=1) - own) / (similarity.shape[1] - 1) - own


def prototype_nll(logits: Tensor) -> Tensor:
    """(2 n_bins, n_bins) logits of the hazards, one row per prototype -> mean NLL, a scalar."""
    n_bins = logits.shape[1]
    bins = torch.arange(2 * n_bins, device=logits.device)
    return discrete_nll(logits, bins % n_bins, bins < n_bins, CENSORED_WEIGHT)


def kl_from_unit(mean: Tensor, std: Tensor) -> Tensor:
    """KL(N(mean, std^2) || N(0, 1)) summed over the last dimension."""
    log_variance = 2 * std.clamp(min=1e-8).log()
    return 0.5 * (std.square() + mean.square() - 1 - log_variance).sum(dim=-1)


def product_of_experts(means: Tensor, variances: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (B, width) of a product of Gaussians; the paper's equation 12.

    means and variances: (E, B, width). present: (E, B) bool, at least one per patient; the others
    are left out.
    """
    precisions = present[:, :, None] / variances.clamp(min=1e-8)
    variance = 1 / precisions.sum(dim=0)
    return variance * (precisions * means).sum(dim=0), variance
