"""Similarity of tokens to DisPro's classes, hazards from it, and a score per token."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import dropout, logsigmoid, normalize

from survfuse.models.networks.interface import SurvivalTargets

POOLED = 256  # the tokens whose mean represents a bag


def similarity(tokens: Tensor, anchors: Tensor) -> Tensor:
    """Cosines of tokens (..., width) with classes, times a temperature: (..., classes).

    anchors: (classes, width), the direction of each class, as long as its temperature.
    """
    return normalize(tokens, dim=-1, eps=1e-6) @ anchors.T


def evidence(tokens: Tensor, anchors: Tensor) -> Tensor:
    """Tokens (B, N, width), anchors (2, 2 K, width) -> (B, N, 2 K), each between 0 and 2.

    For each class, whether a token is close to its anchor in one modality and in the other.
    """
    close = similarity(tokens, anchors.flatten(0, 1)).sigmoid()
    return close.unflatten(2, (2, -1)).sum(dim=2)


def top_mean(values: Tensor, real: Tensor, count: int = POOLED) -> Tensor:
    """Mean of the `count` largest real values of each column, or of all if there are fewer.

    values: (B, N, C). real: (B, N) bool. Returns (B, C), zeros for rows without a real value.
    """
    count = min(count, values.shape[1])
    ranked = values.masked_fill(~real[:, :, None], float("-inf")).transpose(1, 2).topk(count).values
    taken = real.sum(dim=1, keepdim=True).clamp(max=count)
    inside = torch.arange(count, device=real.device) < taken
    return torch.where(inside[:, None], ranked, 0.0).sum(dim=2) / taken.clamp(min=1)


def status_loss(by_status: Tensor, mask: Tensor, targets: SurvivalTargets) -> Tensor:
    """Loss of the logits (B, 2, K) given an event and given censoring, for each patient its own.

    A scalar: the sum over those in `mask` (B,) bool, over the number of all patients.
    """
    logits = torch.where(targets.event[:, None], by_status[:, 0], by_status[:, 1])
    return torch.where(mask, targets.nll(logits), 0.0).mean()


def status_free(by_status: Tensor, log_share: Tensor, marginal: Tensor) -> Tensor:
    """Logits (B, K), relative to the marginal ones, of hazards averaged over the event status.

    by_status: (B, 2, K) logits of the hazards of patients with an event and of censored ones,
    relative to `marginal` (K,). log_share: (2,) logarithms of the frequencies of both. The hazards
    are mixed, from log-sigmoids, so that nothing saturates.
    """
    logits = by_status + marginal
    happens = (logsigmoid(logits) + log_share[:, None]).logsumexp(dim=1)
    not_yet = (logsigmoid(-logits) + log_share[:, None]).logsumexp(dim=1)
    return happens - not_yet - marginal


class Gate(nn.Module):
    """The gated score of a token, (B, N, width) -> (B, N) between 0 and 1."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.values = nn.Linear(width, width)
        self.gates = nn.Linear(width, width)
        self.score = nn.Linear(width, 1)
        self.dropout = dropout

    def forward(self, tokens: Tensor, noisy: bool = False) -> Tensor:
        """With dropout if `noisy`."""
        values = dropout(self.values(tokens).tanh(), self.dropout, noisy)
        gates = dropout(self.gates(tokens).sigmoid(), self.dropout, noisy)
        return self.score(values * gates).squeeze(2).sigmoid()


def pick(tokens: Tensor, index: Tensor) -> Tensor:
    """Tokens (B, N, width) at positions (B, n): (B, n, width)."""
    start = tokens.shape[1] * torch.arange(len(tokens), device=index.device)[:, None]
    chosen = tokens.flatten(0, 1).index_select(0, (index + start).flatten())
    return chosen.unflatten(0, tuple(index.shape))


def in_precision_of(tokens: Tensor, module: nn.Module) -> Tensor:
    """module(tokens), its weights taken in double precision if the tokens are."""
    if tokens.dtype != torch.float64:
        return module(tokens)
    tensors = chain(module.named_parameters(), module.named_buffers())
    weights = {name: t.double() if t.is_floating_point() else t for name, t in tensors}
    found: Tensor = functional_call(module, weights, (tokens,))
    return found
