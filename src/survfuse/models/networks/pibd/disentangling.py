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

from survfuse.models.networks.layers.nystrom import exact_attention
from survfuse.models.networks.pibd.dropout import dropped

HEADS = 4
BAGS_AT_A_TIME = 8
BAGS_WITHOUT_CHECKPOINT = 96  # 3 MiB each at the published sizes


@dataclass(frozen=True)
class Streams:
    """Summaries of B patients in S sub-bags, and the attention of the common stream.

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
class PartialAttention:
    """Attention of one query per row over one set of tokens, to be merged with that over others.

    output: (B, heads, d). log_sum_exp: (B, heads) of the scores.
    """

    output: Tensor
    log_sum_exp: Tensor


class DisentanglingBlock(nn.Module):
    """Self-attention within tiles and within groups; a guide that attends to both."""

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

        A guide attends to itself, its groups and the tiles of one sub-bag. Its attention to the
        first two is the same for all sub-bags of a patient and computed once.
        """
        of_groups, of_guide = self.projected(groups), self.projected(guide[:, None])
        query = of_guide.query[:, 0]
        to_itself, _ = partial_attention(query, of_guide, group_mask.new_ones(len(guide), 1))
        to_groups, group_shares = partial_attention(query, of_groups, group_mask)
        to_itself_and_groups = merged_attention(to_itself, to_groups)
        parts = [
            self.with_checkpointing(len(owner))(*part, query, guide, to_itself_and_groups)
            for part in zip(
                *(x.split(BAGS_AT_A_TIME) for x in (tiles, tile_mask, owner)), strict=True
            )
        ]
        slides, common, tile_shares = (torch.cat(part) for part in zip(*parts, strict=True))
        omics = self.summary(groups, attended(of_groups, group_mask), group_mask)
        return Streams(slides, omics, common, tile_shares, group_shares)

    def with_checkpointing(self, bags: int) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
        """`sub_bags`, run again for the gradient where there are too many to keep in memory."""
        if bags <= BAGS_WITHOUT_CHECKPOINT or not torch.is_grad_enabled():
            return self.sub_bags
        return partial(checkpoint, self.sub_bags, use_reentrant=False)

    def sub_bags(
        self,
        tiles: Tensor,
        mask: Tensor,
        owner: Tensor,
        query: Tensor,
        guide: Tensor,
        others: PartialAttention,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Specific and common stream of some sub-bags, (s, width), and tile shares (s, n)."""
        of_tiles = self.projected(tiles)
        to_tiles, shares = partial_attention(query[owner], of_tiles, mask)
        to_others = PartialAttention(others.output[owner], others.log_sum_exp[owner])
        common = merged_attention(to_others, to_tiles).output
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


def partial_attention(
    query: Tensor, tokens: Projected, mask: Tensor
) -> tuple[PartialAttention, Tensor]:
    """query: (B, heads, d). mask: (B, n) bool, which of the tokens are keys.

    Also returns the attention weights (B, n) of the tokens, the mean over heads.
    """
    scores = (tokens.key * query[:, None]).sum(dim=3) * query.shape[2] ** -0.5
    scores = scores.masked_fill(~mask[:, :, None], float("-inf"))
    shares = scores.softmax(dim=1)
    output = (shares[..., None] * tokens.value).sum(dim=1)
    return PartialAttention(output, scores.logsumexp(dim=1)), shares.mean(dim=2)


def merged_attention(one: PartialAttention, other: PartialAttention) -> PartialAttention:
    """Attention over the union of two sets, from that over each."""
    share = (one.log_sum_exp - other.log_sum_exp).sigmoid()[..., None]
    output = share * one.output + (1 - share) * other.output
    return PartialAttention(output, torch.logaddexp(one.log_sum_exp, other.log_sum_exp))
