"""The problems whose solutions are the weights of sparse factors, each at a given penalty.

All losses are means over patients, in double precision, and are minimised by L-BFGS on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

LIGHT = 1.0  # ridge penalty of a known column: a standard deviation may be worth a log-hazard of 1
START = 0.01  # of the factors, along their direction; at zero nothing would move them
STEPS = 500
PRECISE = 1e-7  # relative change of the loss in the last step


@dataclass(frozen=True)
class Part:
    """Some patients: their columns (n, p), and the summed loss of their log-hazards (n,)."""

    x: Tensor
    total: Callable[[Tensor], Tensor]

    def slope(self, fit: Fit) -> Tensor:
        """(n,) by which the mean loss changes with the log-hazard of each patient."""
        ratio = fit.log_hazard(self.x).requires_grad_()
        (found,) = torch.autograd.grad(self.total(ratio), ratio)
        return found / len(ratio)

    def loss(self, fit: Fit) -> float:
        """The summed loss of a fit."""
        return self.total(fit.log_hazard(self.x)).item()


@dataclass(frozen=True)
class Fit:
    """Effects of the columns (p,), and factors left and right (p, R).

    A log-hazard is the sum of the effects and of the products of each left with its right factor.
    """

    effect: Tensor
    left: Tensor
    right: Tensor

    def log_hazard(self, x: Tensor) -> Tensor:
        """(n,) of columns (n, p)."""
        return x @ self.effect + products(x, self.left, self.right)


def products(x: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """(n,) what products of factors add, of columns (n, p)."""
    return ((x @ left) * (x @ right)).sum(dim=1)


def fit_effects(part: Part, free: Tensor, others: Tensor, penalty: float, start: Fit) -> Fit:
    """Effects of the free columns (p,) bool, and of others under an L1 penalty; convex.

    An effect under the penalty is the difference of two numbers that are not negative.
    """
    x_free, x_others = part.x[:, free], part.x[:, others]
    sizes = [x_free.shape[1], *2 * [x_others.shape[1]]]

    def loss(at: Tensor) -> Tensor:
        of_free, more, less = at.split(sizes)
        summed = part.total(x_free @ of_free + x_others @ (more - less))
        summed = summed + LIGHT / 2 * of_free.square().sum()
        return summed / len(part.x) + penalty * (more + less).sum()

    before = start.effect[others]
    begin = torch.cat([start.effect[free], before.clamp(min=0), -before.clamp(max=0)])
    least = torch.full_like(begin, -torch.inf)
    least[sizes[0] :] = 0.0
    of_free, more, less = minimise(loss, begin, least).split(sizes)
    effect = torch.zeros_like(start.effect)
    effect[free], effect[others] = of_free, more - less
    return replace(start, effect=effect)


def fit_dense(part: Part, free: int, penalty: float, start: Fit) -> Fit:
    """Effects of the first `free` columns, and of the others under a ridge penalty; convex."""

    def loss(at: Tensor) -> Tensor:
        summed = part.total(part.x @ at) + LIGHT / 2 * at[:free].square().sum()
        return summed / len(part.x) + penalty / 2 * at[free:].square().sum()

    return replace(start, effect=minimise(loss, start.effect))


def weights_of(effect: Tensor, owner: Tensor) -> Tensor:
    """(p,) each column's share of the effects of its modality, `owner` (p,), of norm 1 in each."""
    norms = torch.zeros(int(owner.max()) + 1, dtype=effect.dtype)
    norms = norms.index_add(0, owner, effect.square()).sqrt().clamp(min=1e-12)
    return effect.abs() / norms[owner]


def steepest(
    part: Part, fit: Fit, owner: Tensor, pairs: Sequence[tuple[int, int]], rank: int
) -> tuple[Fit, float]:
    """Small factors along which the loss falls most, and how fast: from that penalty on none help.

    Columns take part by their weights, so that what has no effect of its own takes none.
    """
    weight, slope = weights_of(fit.effect, owner), part.slope(fit)
    x = part.x * weight
    left, right = (torch.zeros(len(owner), len(pairs) * rank, dtype=x.dtype) for _ in range(2))
    fastest = 0.0
    for place, (one, other) in enumerate(pairs):
        mine, theirs = (torch.nonzero((owner == m) & (weight > 0))[:, 0] for m in (one, other))
        if not (len(mine) and len(theirs)):
            continue
        u, speed, v = svd_of_product(x[:, mine], slope[:, None] * x[:, theirs])
        kept = torch.arange(min(rank, len(speed)))
        size = START * (speed[kept] / speed[0].clamp(min=1e-300)).sqrt()
        left[mine[:, None], place * rank + kept] = -size * u[:, kept]
        right[theirs[:, None], place * rank + kept] = size * v[kept].T
        fastest = max(fastest, float(speed[0]))
    return replace(fit, left=left * weight[:, None], right=right * weight[:, None]), fastest


def svd_of_product(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The thin SVD of a.T @ b, of (n, p) and (n, q), at the size of n where columns are more."""
    (left, a), (right, b) = narrowed(a), narrowed(b)
    u, values, v = torch.linalg.svd(a.T @ b, full_matrices=False)
    return left @ u, values, v @ right.T


def narrowed(a: Tensor) -> tuple[Tensor, Tensor]:
    """(p, r) orthonormal columns and (n, r), whose product with their transpose is a (n, p)."""
    if a.shape[1] <= a.shape[0]:
        return torch.eye(a.shape[1], dtype=a.dtype), a
    basis, within = torch.linalg.qr(a.T)
    return basis, within.T


def fit_factors(part: Part, owner: Tensor, penalty: float, start: Fit) -> Fit:
    """Factors under a ridge penalty, of columns that are weighted as in `steepest`.

    That is the nuclear norm of the matrix of interactions. The effects are kept.
    """
    weight = weights_of(start.effect, owner)
    used = weight > 0
    x, weight = part.x[:, used] * weight[used], weight[used][:, None]
    fixed = part.x @ start.effect
    begin = torch.stack([start.left[used], start.right[used]]) / weight
    shown = begin != 0

    def loss(at: Tensor) -> Tensor:
        left, right = at.view_as(begin) * shown
        summed = part.total(fixed + products(x, left, right))
        return summed / len(x) + penalty / 2 * at.square().sum()

    left, right = minimise(loss, begin.flatten()).view_as(begin) * shown * weight
    found = replace(start, left=start.left.clone(), right=start.right.clone())
    found.left[used], found.right[used] = left, right
    return found


def minimise(
    loss: Callable[[Tensor], Tensor], start: Tensor, least: Tensor | None = None
) -> Tensor:
    """Where a loss of a vector is least, looked for from `start`; least: lower bounds (p,)."""
    from scipy.optimize import Bounds, minimize

    def value_and_slope(at: np.ndarray) -> tuple[float, np.ndarray]:
        where = torch.tensor(at, requires_grad=True)
        value = loss(where)
        value.backward()
        assert where.grad is not None
        return value.item(), where.grad.numpy()

    found = minimize(
        value_and_slope,
        start.numpy(),
        jac=True,
        method="L-BFGS-B",
        bounds=None if least is None else Bounds(least.numpy(), np.inf),
        options={"maxiter": STEPS, "ftol": PRECISE},
    )
    return torch.from_numpy(found.x)
