"""Bags cut into disjoint sub-bags: at random in training, by what the tiles hold in prediction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

ODD = 0x1E3779B97F4A7C15  # near 2^61 times the golden ratio; its powers scatter over 64 bits


@dataclass(frozen=True)
class SubBags:
    """S sub-bags of at most M tokens, a partition of the tokens of B patients.

    owner: (S,) the patient of each, in order; a patient without tokens has one, which is empty.
    per_patient: (B,) how many each has. token: (S, M) index into the B * N tokens of the batch,
    flattened. mask: (S, M) bool, true where there is one.
    """

    owner: Tensor
    per_patient: Tensor
    token: Tensor
    mask: Tensor

    def average(self, x: Tensor) -> Tensor:
        """(S, ...) -> (B, ...), the mean over the sub-bags of each patient."""
        total = x.new_zeros(len(self.per_patient), *x.shape[1:]).index_add(0, self.owner, x)
        return total / self.per_patient.view(-1, *[1] * (x.ndim - 1))


def unsplit_bags(mask: Tensor) -> SubBags:
    """One sub-bag per patient, in the order of the batch. mask: (B, N) bool."""
    count, length = mask.shape
    patients = torch.arange(count, device=mask.device)
    token = torch.arange(count * length, device=mask.device).view(count, length)
    return SubBags(patients, torch.ones_like(patients), token, mask)


def split_bags(mask: Tensor, key: Tensor, size: int) -> SubBags:
    """As few sub-bags of at most `size` tokens as possible, equal in size to within one token.

    The tokens of a patient, in the order of their keys, are assigned to the sub-bags in turn. mask:
    (B, N) bool. key: (B, N) int64.
    """
    last = torch.iinfo(key.dtype).max
    order = key.masked_fill(~mask, last).argsort(dim=1, stable=True)
    tokens = mask.sum(dim=1)
    bags = ((tokens + size - 1) // size).clamp(min=1)
    owner = torch.arange(len(mask), device=mask.device).repeat_interleave(bags)
    turn = torch.arange(len(owner), device=mask.device) - (bags.cumsum(0) - bags)[owner]
    longest = max(1, int(((tokens + bags - 1) // bags).max()))
    rank = turn[:, None] + bags[owner, None] * torch.arange(longest, device=mask.device)
    real = rank < tokens[owner, None]
    place = order[owner[:, None], rank.clamp(max=mask.shape[1] - 1)]
    return SubBags(owner, bags, owner[:, None] * mask.shape[1] + place, real)


def random_keys(mask: Tensor) -> Tensor:
    """(B, N) int64 from the global generator: a new random partition each time."""
    return torch.randint(1 << 62, mask.shape, device=mask.device)


def content_keys(values: Tensor) -> Tensor:
    """(B, N) int64 checksum of each tile (B, N, D): a fixed partition that ignores their order.

    A sum, modulo 2^64, of the bits of each pair of values times an odd number. Integer arithmetic
    is exact, so a tile has the same key wherever it stands and whatever it stands beside; tiles
    that differ in one pair of values have different keys.
    """
    bits = pad(values.float(), (0, values.shape[2] % 2)).contiguous().view(torch.int64)
    odd = torch.full((bits.shape[2],), ODD, dtype=torch.int64, device=values.device).cumprod(0)
    return (bits * odd).sum(dim=2)
