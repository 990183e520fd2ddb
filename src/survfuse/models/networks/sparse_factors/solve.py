"""The weights of sparse factors, solved for, with penalties by cross-validation.

First the sum of effects, which is convex: under an L1 penalty, where few columns matter, or under
ridge, where many do a little; whichever predicts patients better who were left out. Then what two
modalities do together, a matrix between their columns, each weighted by its own effect; a ridge
penalty on both factors of a matrix is its nuclear norm (Srebro, Rennie and Jaakkola, NeurIPS 2004),
and they begin along the direction in which the loss falls most. The paths of penalties begin where
the slope of the loss says that nothing has an effect, or are given as the variance of the
log-hazard, so that a penalty means the same for any number of columns and patients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from survfuse.models.networks.interface import SumOfLosses
from survfuse.models.networks.sparse_factors.problems import (
    Fit,
    Part,
    fit_dense,
    fit_effects,
    fit_factors,
    steepest,
)

# Penalties as shares of that at which nothing has an effect, from strong to weak.
L1_PATH = tuple(np.geomspace(0.9, 0.03, 14).tolist())
# Variance of the log-hazard that ridge expects of all penalised effects together.
VARIANCES = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0)
FACTOR_PATH = (0.8, 0.6, 0.45, 0.3, 0.2, 0.12)
PATIENCE = 2  # weaker penalties in a row that predict worse, after which no other is tried
SHORT = 1e-8  # of all lengths together; rounding alone makes such a direction
NONE = float("inf")  # leaves no effect; a record says null, as JSON has no infinity


@dataclass(frozen=True)
class Best:
    """Fits of all parts at a penalty, and the summed loss of the patients who were left out."""

    fits: list[Fit]
    penalty: float
    left_out: float


@dataclass(frozen=True)
class Columns:
    """Standardised columns (n, p) in double precision.

    owner: (p,) the number of the modality of each. free: (p,) bool, what is under no L1 penalty.
    """

    x: Tensor
    owner: Tensor
    free: Tensor


def solve(
    columns: Columns,
    pairs: Sequence[tuple[int, int]],
    rank: int,
    loss: SumOfLosses,
    folds: Tensor,
) -> tuple[Fit, dict[str, float | None]]:
    """Solve both problems for all patients; returns the fit and the penalties that were chosen.

    A penalty is None where no effect predicted best.

    pairs: of modalities that may interact, by `rank` factors each. folds: (n,), in each of which
    patients are left out to compare penalties.
    """
    owner, free = columns.owner, columns.free
    everybody = torch.arange(len(folds))
    parts = [
        Part(columns.x[rows], partial(loss, rows))
        for rows in (everybody, *(everybody[folds != fold] for fold in folds.unique()))
    ]
    blank = torch.zeros(len(free), dtype=torch.float64)
    nothing = Fit(blank, blank.new_zeros(len(free), 0), blank.new_zeros(len(free), 0))
    nobody = torch.zeros_like(free)
    known = [fit_effects(part, free, nobody, 0.0, nothing) for part in parts]
    sparse, dense = sparse_effects(parts, free, known), dense_effects(parts, free, known)
    effects = min(sparse, dense, key=lambda one: one.left_out)
    fits = effects.fits
    begun = [steepest(part, fit, owner, pairs, rank) for part, fit in zip(parts, fits, strict=True)]

    def factors(place: int, penalty: float, last: Fit) -> Fit:
        towards = begun[place][0]
        last = replace(last, left=last.left + towards.left, right=last.right + towards.right)
        return fit_factors(parts[place], owner, penalty, last)

    without = [
        replace(fit, left=torch.zeros_like(fit.left), right=torch.zeros_like(fit.right))
        for fit, _ in begun
    ]
    found = best(parts, without, factors, begun[0][1] * np.array(FACTOR_PATH))
    penalties = {
        "l1_penalty": sparse.penalty if effects is sparse else NONE,
        "ridge_penalty": dense.penalty if effects is dense else NONE,
        "factor_penalty": found.penalty,
    }
    return found.fits[0], {
        name: None if value == NONE else value for name, value in penalties.items()
    }


def sparse_effects(parts: Sequence[Part], free: Tensor, known: list[Fit]) -> Best:
    """Effects of columns, of which those that are not free are under an L1 penalty.

    known: the fits without any effect of these.
    """
    slope = parts[0].x[:, ~free].T @ parts[0].slope(known[0])
    strongest = float(slope.abs().max()) if len(slope) else 0.0

    def effects(place: int, penalty: float, last: Fit) -> Fit:
        return fit_effects(parts[place], free, ~free, penalty, last)

    return best(parts, known, effects, strongest * np.array(L1_PATH))


def dense_effects(parts: Sequence[Part], free: Tensor, known: list[Fit]) -> Best:
    """Effects of columns, of which those that are not free are under a ridge penalty.

    These lie in the space that the patients span, so they are looked for along its directions, of
    which there are no more than patients. known: as of `sparse_effects`.
    """
    others, count = parts[0].x[:, ~free], int(free.sum())
    _, length, directions = torch.linalg.svd(others, full_matrices=False)
    basis = directions[length > SHORT * length.sum()].T

    def turned(x: Tensor) -> Tensor:
        return torch.cat([x[:, free], x[:, ~free] @ basis], dim=1)

    def turned_back(fit: Fit) -> Fit:
        effect = torch.zeros(len(free), dtype=torch.float64)
        effect[free], effect[~free] = fit.effect[:count], basis @ fit.effect[count:]
        return replace(known[0], effect=effect)

    within = [replace(part, x=turned(part.x)) for part in parts]
    blank = torch.zeros(within[0].x.shape[1], 0, dtype=torch.float64)
    start = [Fit(turned(fit.effect[None])[0], blank, blank) for fit in known]

    def effects(place: int, penalty: float, last: Fit) -> Fit:
        return fit_dense(within[place], count, penalty, last)

    expected = float(others.square().sum()) / len(others) ** 2
    found = best(within, start, effects, expected / np.array(VARIANCES))
    return replace(found, fits=[turned_back(fit) for fit in found.fits])


def best(
    parts: Sequence[Part],
    start: list[Fit],
    fit: Callable[[int, float, Fit], Fit],
    penalties: np.ndarray,
) -> Best:
    """The fits of all parts at the penalty that predicts left-out patients best.

    `start`, an infinite penalty, is a candidate. Each fit begins at that of the last penalty. The
    first part is everybody: the loss of who is left out of another is that of everybody less its
    own (Verweij and van Houwelingen, Stat Med 1993;12:2305).
    """

    def left_out(fits: Sequence[Fit]) -> float:
        return sum(
            parts[0].loss(one) - part.loss(one)
            for part, one in zip(parts[1:], fits[1:], strict=True)
        )

    chosen, worse = Best(start, NONE, left_out(start)), 0
    for candidate in penalties.tolist() if penalties.any() else ():
        start = [fit(place, candidate, last) for place, last in enumerate(start)]
        found = Best(start, candidate, left_out(start))
        chosen, worse = (found, 0) if found.left_out < chosen.left_out else (chosen, worse + 1)
        if worse == PATIENCE:
            break
    return chosen
