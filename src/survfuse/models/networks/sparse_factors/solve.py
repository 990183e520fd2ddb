"""The weights of sparse factors, solved for, with penalties by cross-validation.

Two problems, one after the other. The sum of effects under an L1 penalty is convex. What two
modalities do together is a matrix between their columns, each weighted by its own effect; a ridge
penalty on both factors of a matrix is its nuclear norm (Srebro, Rennie and Jaakkola, NeurIPS 2004),
and they begin along the direction in which the loss falls most. Both paths of penalties begin where
the slope of the loss says that nothing has an effect, so that a penalty means the same for any
number of columns and patients.
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
    fit_effects,
    fit_factors,
    steepest,
)

# Penalties as shares of that at which nothing has an effect, from strong to weak.
L1_PATH = tuple(np.geomspace(0.9, 0.03, 14).tolist())
FACTOR_PATH = (0.8, 0.6, 0.45, 0.3, 0.2, 0.12)
PATIENCE = 2  # weaker penalties in a row that predict worse, after which no other is tried
NONE = float("inf")  # leaves no effect; a record says null, as JSON has no infinity


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
    blank = torch.zeros(len(owner), dtype=torch.float64)
    empty = Fit(blank, blank.new_zeros(len(owner), 0), blank.new_zeros(len(owner), 0))
    nobody = torch.zeros_like(free)
    known = [fit_effects(part, free, nobody, 0.0, empty) for part in parts]
    slope = parts[0].x[:, ~free].T @ parts[0].slope(known[0])
    strongest = float(slope.abs().max()) if len(slope) else 0.0

    def effects(place: int, penalty: float, last: Fit) -> Fit:
        return fit_effects(parts[place], free, ~free, penalty, last)

    fits, l1 = best(parts, known, effects, strongest * np.array(L1_PATH))
    begun = [steepest(part, fit, owner, pairs, rank) for part, fit in zip(parts, fits, strict=True)]

    def factors(place: int, penalty: float, last: Fit) -> Fit:
        towards = begun[place][0]
        last = replace(last, left=last.left + towards.left, right=last.right + towards.right)
        return fit_factors(parts[place], owner, penalty, last)

    without = [
        replace(fit, left=torch.zeros_like(fit.left), right=torch.zeros_like(fit.right))
        for fit, _ in begun
    ]
    fits, nuclear = best(parts, without, factors, begun[0][1] * np.array(FACTOR_PATH))
    chosen = {"l1_penalty": l1, "factor_penalty": nuclear}
    return fits[0], {name: None if value == NONE else value for name, value in chosen.items()}


def best(
    parts: Sequence[Part],
    start: list[Fit],
    fit: Callable[[int, float, Fit], Fit],
    penalties: np.ndarray,
) -> tuple[list[Fit], float]:
    """The fits of all parts at the penalty that predicts left-out patients best, and the penalty.

    `start`, an infinite penalty, is a candidate. Each fit begins at that of the last penalty. The
    first part is everybody: the loss of who is left out of another is that of everybody less its
    own (Verweij and van Houwelingen, Stat Med 1993;12:2305).
    """

    def left_out(fits: Sequence[Fit]) -> float:
        return sum(
            parts[0].loss(one) - part.loss(one)
            for part, one in zip(parts[1:], fits[1:], strict=True)
        )

    chosen, penalty, least, worse = start, NONE, left_out(start), 0
    for candidate in penalties.tolist() if penalties.any() else ():
        start = [fit(place, candidate, last) for place, last in enumerate(start)]
        found = left_out(start)
        if found < least:
            chosen, penalty, least, worse = start, candidate, found, 0
        else:
            worse += 1
        if worse == PATIENCE:
            break
    return chosen, penalty
