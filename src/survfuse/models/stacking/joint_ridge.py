"""One ridge Cox model of all blocks, each with a penalty of its own.

Causes of death that lie in different blocks add up, and each is seen better beside the others. The
penalties are chosen together by cross-validated partial likelihood, block by block on a grid that
is refined (van de Wiel, van Nee and Rauschenberger, J Comput Graph Stat 2021;30:835, on such
models). Columns without a block are penalised lightly: what is known of old is not shrunk away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from survfuse.models.stacking.partial_likelihood import PartialLikelihood
from survfuse.models.stacking.ridge_cox import (
    FOLDS,
    fit_exactly,
    quasi_newton,
    stratified_folds,
)

COARSE = (300.0, 40.0, 6.0, 1.0, 0.15)
FINER = 2.5  # by which a penalty is multiplied and divided in later rounds
ROUNDS = 3
LIGHT = 1.0  # penalty of the columns without a block
NONE = float("inf")

# Of the penalties of all blocks, a cross-validated log-likelihood; it remembers what it was asked.
Likelihood = Callable[[tuple[float, ...]], float]


@dataclass(frozen=True)
class JointRidge:
    """Coefficients of the free columns (q,) and of each block (r,); 0 where it has no effect.

    penalties: of each block, infinite for no effect. gain: in cross-validated log partial
    likelihood, over the free columns alone. gains: what of it is lost without each block, the
    penalties of the others as they are.
    """

    free: np.ndarray
    coefficients: tuple[np.ndarray, ...]
    penalties: tuple[float, ...]
    gain: float
    gains: tuple[float, ...]


def fit_joint_ridge(
    free: np.ndarray,
    blocks: Sequence[np.ndarray],
    time: np.ndarray,
    event: np.ndarray,
    seed: int,
    offset: np.ndarray | None = None,
) -> JointRidge:
    """Fit on free columns (n, q) and blocks (n, r), each as `ridge_cox.coordinates` scales it.

    offset: (n,) known log-hazard that all of them add to.
    """
    known_hazard = np.zeros(len(time)) if offset is None else offset
    folds = stratified_folds(event, FOLDS, seed)
    kept = [folds != fold for fold in range(FOLDS) if event[folds != fold].any()]
    everybody = PartialLikelihood.of(time, event)
    parts = [PartialLikelihood.of(time[rows], event[rows]) for rows in kept]
    known: dict[tuple[float, ...], float] = {}

    def likelihood(penalties: tuple[float, ...]) -> float:
        """Cross-validated log partial likelihood."""
        if penalties not in known:
            x = weighed(free, blocks, penalties)
            start = np.zeros(x.shape[1])
            total = 0.0
            for rows, part in zip(kept, parts, strict=True):
                fitted = quasi_newton(x[rows], part, known_hazard[rows], LIGHT, start)
                score = known_hazard + x @ fitted
                total += everybody.value(score) - part.value(score[rows])
            known[penalties] = total
        return known[penalties]

    chosen = best_penalties(len(blocks), likelihood)
    exact = fit_exactly(weighed(free, blocks, chosen), everybody, known_hazard, LIGHT)
    by_block = by_blocks(exact[free.shape[1] :], blocks, chosen)
    gain = likelihood(chosen) - likelihood((NONE,) * len(blocks))
    gains = gains_of_each(chosen, likelihood)
    return JointRidge(exact[: free.shape[1]], by_block, chosen, gain, gains)


def best_penalties(blocks: int, likelihood: Likelihood) -> tuple[float, ...]:
    """The penalty of each block, from no effect, one after the other until nothing is better."""
    chosen = (NONE,) * blocks
    for number in range(ROUNDS):
        before = chosen
        for place in range(blocks):
            tried = [
                (*chosen[:place], penalty, *chosen[place + 1 :])
                for penalty in candidates(chosen[place], number)
            ]
            chosen = max([chosen, *tried], key=likelihood)
        if chosen == before:
            break
    return chosen


def gains_of_each(chosen: tuple[float, ...], likelihood: Likelihood) -> tuple[float, ...]:
    """What is lost without each block, the penalties of the others as they are chosen."""
    best = likelihood(chosen)
    return tuple(
        best - likelihood((*chosen[:place], NONE, *chosen[place + 1 :]))
        for place in range(len(chosen))
    )


def candidates(penalty: float, number: int) -> tuple[float, ...]:
    """Penalties to compare with one in a round: the whole grid at first, neighbours later."""
    if number == 0:
        return COARSE
    return (penalty * FINER, penalty / FINER) if penalty < NONE else COARSE[1:3]


def weighed(
    free: np.ndarray, blocks: Sequence[np.ndarray], penalties: Sequence[float]
) -> np.ndarray:
    """All columns with an effect, scaled so that one penalty suits them all."""
    scaled = [
        block * np.sqrt(LIGHT / penalty)
        for block, penalty in zip(blocks, penalties, strict=True)
        if penalty < NONE
    ]
    return np.concatenate([free, *scaled], axis=1)


def by_blocks(
    exact: np.ndarray, blocks: Sequence[np.ndarray], penalties: Sequence[float]
) -> tuple[np.ndarray, ...]:
    """The coefficients of `weighed` columns, by block and undone what scaled them.

    exact: (r,), or (r, Q) where columns have several.
    """
    own, place = list[np.ndarray](), 0
    for block, penalty in zip(blocks, penalties, strict=True):
        width = block.shape[1] if penalty < NONE else 0
        found = exact[place : place + width] * np.sqrt(LIGHT / penalty)
        own.append(found if width else np.zeros((block.shape[1], *exact.shape[1:])))
        place += width
    return tuple(own)
