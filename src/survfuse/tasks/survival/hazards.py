"""Losses and read-outs of survival models.

Discrete time: K bins; logits a of the hazards, h_k = sigmoid(a_k), and S_k = prod_{j<=k} (1 - h_j),
the chance of being event-free at the end of bin k. Everything is computed from log-sigmoids, so
that saturated logits keep finite losses and gradients. Proportional hazards: one log-hazard ratio
per patient and Cox's partial likelihood.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad


def discrete_nll(
    logits: Tensor,
    bin_index: Tensor,
    event: Tensor,
    censored_weight: float = 1.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
    exposure: Tensor | None = None,
) -> Tensor:
    """Negative log-likelihood of discrete-time survival with right censoring.

    logits: (B, K). bin_index: (B,) bin of the event or censoring. event: (B,) true where the event
    was observed. A patient with an event in bin y costs -log S_{y-1} - log h_y; a censored one
    -log S_y, times `censored_weight`: as if bin y had been survived, the usual convention (Zadeh
    and Schmid 2020), which makes hazards too low. With `exposure` (B,), the part of bin y before
    censoring, a censored patient costs -log S_{y-1} - exposure * log(1 - h_y) instead: the
    likelihood of a hazard constant within the bin, whose maximum is the actuarial estimate.
    """
    own = bin_index[:, None]
    log_stay = logsigmoid(-logits)
    log_before = pad(log_stay.cumsum(dim=1), (1, 0)).gather(1, own).squeeze(1)
    log_survive = log_stay.gather(1, own).squeeze(1)
    log_event = logsigmoid(logits).gather(1, own).squeeze(1)
    if exposure is not None:
        log_survive = exposure * log_survive
    happened = event.to(logits.dtype)
    loss = -happened * (log_before + log_event)
    loss = loss - (1 - happened) * censored_weight * (log_before + log_survive)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def partial_nll(log_ratio: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Cox's negative log partial likelihood per event, ties after Breslow.

    log_ratio: (B,) log-hazard ratios. time: (B,). event: (B,) bool. A scalar, zero (with a gradient
    of zero) without events.
    """
    falling, order = (-time).sort()
    at_risk = log_ratio[order].logcumsumexp(dim=0)  # with all who are followed as long or longer
    last_of_ties = torch.searchsorted(falling, falling, right=True) - 1
    happened = event[order].to(log_ratio.dtype)
    lost = happened * (at_risk[last_of_ties] - log_ratio[order])
    return lost.sum() / happened.sum().clamp(min=1)


def survival_from_logits(logits: Tensor) -> Tensor:
    """(B, K) logits -> (B, K) probability of being event-free at the end of each bin."""
    return logsigmoid(-logits).cumsum(dim=1).exp()


def risk_from_logits(logits: Tensor) -> Tensor:
    """(B, K) logits -> (B,) minus the sum of the survival curve; higher is worse."""
    return -survival_from_logits(logits).sum(dim=1)
