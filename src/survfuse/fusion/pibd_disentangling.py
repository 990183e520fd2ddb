"""The disentangled transformer of PIBD: what is specific to each modality, and what is common.

Zhang et al., ICLR 2024, section 3.3 and figure 2. One block, whose weights all streams share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear
from torch.utils.checkpoint import checkpoint

from survfuse.fusion.nystrom import exact_attention
from survfuse.fusion.pibd_dropout import dropped

HEADS = 4
BAGS_AT_A_TIME = 8
BAGS_REMEMBERED = 96  # 3 MiB each at the published sizes


@dataclass(frozen=True)
class Streams:
    """Summaries of B patients in S sub-bags, and where the common stream looked.

    slides: (S, width) and omics: (B, width), the specific ones. common: (S, width). tile_shares:
    (S, n) and group_shares: (B, m), averages over heads that sum to one.
    """

    slides: Tensor
    omics: Tensor
    common: Tensor
    tile_shares: Tensor
    group_shares: Tensor


@dataclass(frozen=True)
class Projected:
    """Queries, keys and values of tokens, (B, n, heads, d) each."""

    query: Tensor
    key: Tensor
    value: Tensor


@dataclass(frozen=True)
class Glance:
    """What one query per row sees in one set of tokens, before other sets are weighed in.

    seen: (B, heads, d). weight: (B, heads) log of the sum of the exponentials.
    """

    seen: Tensor
    weight: Tensor


class DisentanglingBlock(nn.Module):
    """Self-attention within tiles and within groups; a guide that looks at both."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        if width % HEADS:
            raise ValueError(f"width must be a multiple of {HEADS}, the number of heads")
        self.dropout = dropout
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.second_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, width)
        self.contract = nn.Linear(width, width)

    def forward(
        self,
        tiles: Tensor,
        tile_mask: Tensor,
        groups: Tensor,
        group_mask: Tensor,
        guide: Tensor,
        owner: Tensor,
    ) -> Streams:
        """tiles: (S, n, width) in sub-bags of patients `owner` (S,). groups: (B, m, width). guide:
        (B, width). The masks, (S, n) and (B, m), have at least one true value per row.

        A guide looks at itself, its groups and the tiles of one sub-bag. What it sees in the first
        two is the same for all sub-bags of a patient and computed once.
        """
        of_groups, of_guide = self.projected(groups), self.projected(guide[:, None])
        query = of_guide.query[:, 0]
        at_itself, _ = glance(query, of_guide, group_mask.new_ones(len(guide), 1))
        at_groups, group_shares = glance(query, of_groups, group_mask)
        known = merged(at_itself, at_groups)
        parts = [
            self.remembering(len(owner))(*part, query, guide, known)
            for part in zip(
                *(x.split(BAGS_AT_A_TIME) for x in (tiles, tile_mask, owner)), strict=True
            )
        ]
        slides, common, tile_shares = (torch.cat(part) for part in zip(*parts, strict=True))
        omics = self.summary(groups, attended(of_groups, group_mask), group_mask)
        return Streams(slides, omics, common, tile_shares, group_shares)

    def remembering(self, bags: int) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
        """`sub_bags`, run again for the gradient where there are too many to remember."""
        if bags <= BAGS_REMEMBERED or not torch.is_grad_enabled():
            return self.sub_bags
        return partial(checkpoint, self.sub_bags, use_reentrant=False)

    def sub_bags(
        self,
        tiles: Tensor,
        mask: Tensor,
        owner: Tensor,
        query: Tensor,
        guide: Tensor,
        known: Glance,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Specific and common stream of some sub-bags, (s, width), and tile shares (s, n)."""
        of_tiles = self.projected(tiles)
        at_tiles, shares = glance(query[owner], of_tiles, mask)
        common = merged(Glance(known.seen[owner], known.weight[owner]), at_tiles).seen
        alone = mask.new_ones(len(owner), 1)
        return (
            self.summary(tiles, attended(of_tiles, mask), mask),
            self.summary(guide[owner, None], common[:, None], alone),
            shares,
        )

    def projected(self, x: Tensor) -> Projected:
        """(B, n, width) -> its queries, keys and values."""
        x = self.norm(x)
        weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
        return Projected(
            *(
                linear(x, weight, bias).unflatten(2, (HEADS, -1))
                for weight, bias in zip(weights, biases, strict=True)
            )
        )

    def summary(self, x: Tensor, mixed: Tensor, mask: Tensor) -> Tensor:
        """Rest of the block for x (B, n, width) and its attention (B, n, heads, d), then the mean.

        The last layer is linear: it is applied to the mean, (B, width), rather than to each token.
        """
        mixed = dropped(self.out(mixed.flatten(2)), self.rate)
        x = torch.addcmul(x, self.depth(x)[:, None], mixed)
        hidden = dropped(gelu(self.expand(self.second_norm(x))), self.rate)
        weights = (mask / mask.sum(dim=1, keepdim=True)).to(x.dtype)[:, None]
        update = dropped(self.contract((weights @ hidden).squeeze(1)), self.rate)
        return torch.addcmul((weights @ x).squeeze(1), self.depth(x), update)

    @property
    def rate(self) -> float:
        return self.dropout * self.training

    def depth(self, x: Tensor) -> Tensor:
        """(B, 1) factors of a residual branch: zero with probability `rate`, one on average."""
        return dropped(x.new_ones(len(x), 1), self.rate)


def attended(tokens: Projected, mask: Tensor) -> Tensor:
    """Self-attention, (B, n, heads, d); keys limited to mask (B, n)."""
    q, k, v = (x.transpose(1, 2) for x in (tokens.query, tokens.key, tokens.value))
    return exact_attention(q, k, v, mask).transpose(1, 2)


def glance(query: Tensor, at: Projected, mask: Tensor) -> tuple[Glance, Tensor]:
    """query: (B, heads, d). mask: (B, n) bool, which of the tokens to look at.

    Also returns the shares (B, n) each token gets of this glance, the mean over heads.
    """
    scores = (at.key * query[:, None]).sum(dim=3) * query.shape[2] ** -0.5
    scores = scores.masked_fill(~mask[:, :, None], float("-inf"))
    shares = scores.softmax(dim=1)
    seen = (shares[..., None] * at.value).sum(dim=1)
    return Glance(seen, scores.logsumexp(dim=1)), shares.mean(dim=2)


def merged(one: Glance, other: Glance) -> Glance:
    """A glance at the union of two sets, from those at each."""
    share = (one.weight - other.weight).sigmoid()[..., None]
    seen = share * one.seen + (1 - share) * other.seen
    return Glance(seen, torch.logaddexp(one.weight, other.weight))
