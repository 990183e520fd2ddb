"""Clinical covariates as tokens, by one learned spline per covariate and channel.

The splines are those of Kolmogorov-Arnold networks (Liu et al., ICLR 2025): cubic B-splines on a
uniform grid, beside a multiple of SiLU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

INTERVALS, ORDER = 5, 3  # of the grid on -1..1; of the splines
BASES = INTERVALS + ORDER
STEP = 2 / INTERVALS
REACH = 2.0  # standard deviations that the grid spans to either side


def spline_bases(x: Tensor) -> Tensor:
    """(...) -> (..., BASES): cubic B-splines with knots -1 + STEP (j - 3), j = 0..11.

    They sum to one on -1..1 and are zero from 2.2 on (Cox and de Boor's recursion).
    """
    index = torch.arange(BASES + ORDER + 1, device=x.device, dtype=x.dtype)
    knots = STEP * (index - ORDER) - 1
    x = x[..., None]
    bases = ((x >= knots[:-1]) & (x < knots[1:])).to(x.dtype)
    for order in range(1, ORDER + 1):
        rising = (x - knots[: -order - 1]) / (order * STEP)
        falling = (knots[order + 1 :] - x) / (order * STEP)
        bases = rising * bases[..., :-1] + falling * bases[..., 1:]
    return bases


class SplineTokens(nn.Module):
    """Each covariate as one token: (B, C) standardised -> (B, C, width).

    token_i = a_i SiLU(x_i) + sum_g w_ig B_g(x_i / REACH) + e_i with x held within REACH deviations,
    so that all of them lie where the splines sum to one.
    """

    def __init__(self, covariates: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.randn(covariates, width))
        self.spline = nn.Parameter(0.1 * torch.randn(covariates, BASES, width))
        self.names = nn.Parameter(0.02 * torch.randn(covariates, width))

    def forward(self, covariates: Tensor) -> Tensor:
        x = covariates.clamp(-REACH, REACH)
        splines = torch.einsum("bcg,cgd->bcd", spline_bases(x / REACH), self.spline)
        return silu(x)[:, :, None] * self.linear + splines + self.names
