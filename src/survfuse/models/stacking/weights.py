"""How members of a stack are weighed: a Cox model of their scores without negative weights.

A member that was fitted on a patient knows his outcome, so the scores that weights are learned from
are cross-fitted: every score comes from a member that was fitted without the patient (Wolpert,
Neural Networks 1992;5:241; van der Laan, Polley and Hubbard, Stat Appl Genet Mol Biol 2007;6:25).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from survfuse.models.stacking.partial_likelihood import PartialLikelihood

RIDGE = 2.0  # on the weights of standardised scores
LEAST_EVENTS = 20  # among patients who have a set of inputs, for weights of their own


@dataclass(frozen=True)
class StackWeights:
    """The weights of M members for each of K sets of the B inputs that a patient may have.

    has: (K, B) bool, the sets. centre: (K, M, B) the mean cross-fitted contribution of every input.
    weight: (K, M) log-hazard per unit of a member's score; none is negative.
    """

    has: np.ndarray
    centre: np.ndarray
    weight: np.ndarray

    def sets_of(self, has: np.ndarray) -> np.ndarray:
        """(n,) which set each patient has, of inputs (n, B) bool."""
        same = (has[:, None, :] == self.has[None]).all(axis=2)
        if not same.any(axis=1).all():
            raise ValueError("a patient has a set of inputs for which there are no weights")
        position: np.ndarray = same.argmax(axis=1)
        return position

    def contributions(self, added: np.ndarray, has: np.ndarray) -> np.ndarray:
        """(n, B) what each input adds to the log-hazard; 0 where it is absent or average.

        added: (n, M, B) what it adds to the score of each member. has: (n, B) bool.
        """
        chosen = self.sets_of(has)
        centred = np.where(has[:, None, :], added - self.centre[chosen], 0.0)
        total: np.ndarray = np.einsum("nm,nmb->nb", self.weight[chosen], centred)
        return total

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        return {"has": self.has.astype(np.uint8), "centre": self.centre, "weight": self.weight}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> StackWeights:
        """The inverse of `arrays`."""
        return StackWeights(arrays["has"].astype(bool), arrays["centre"], arrays["weight"])


def sets_of_modalities(reads: list[tuple[str, ...]]) -> np.ndarray:
    """(K, B) bool: what a patient can have of B inputs, each read from one or more modalities."""
    names = list(dict.fromkeys(name for own in reads for name in own))
    sets = [
        [all(shown[names.index(name)] for name in own) for own in reads]
        for shown in product((True, False), repeat=len(names))
    ]
    return np.unique(np.array(sets, dtype=bool).reshape(len(sets), len(reads)), axis=0)


def fit_stack_weights(
    added: np.ndarray,
    has: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    sets: np.ndarray,
    ridge: float = RIDGE,
) -> StackWeights:
    """Weights for each of `sets` (K, B), from cross-fitted contributions (n, M, B).

    The weights of a set are learned from all patients who have all its inputs, by what these inputs
    alone add to the members' scores. So what a patient lacks leaves its weight to inputs that tell
    the same, and that it is lacking tells nothing. With few events among such patients all patients
    are learned from, an input that they lack being average.
    """
    sets = np.asarray(sets, dtype=bool)
    centre = np.zeros((len(sets), *added.shape[1:]))
    weight = np.zeros((len(sets), added.shape[1]))
    for place, own in enumerate(sets):
        whole = has[:, own].all(axis=1)
        if event[whole].sum() < LEAST_EVENTS:
            whole = np.ones(len(has), dtype=bool)
        centre[place], values = centred(added[whole], has[whole] & own)
        scores = values.sum(axis=2)
        spread = scores.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        found = non_negative_cox(scores / scale, time[whole], event[whole], ridge)
        weight[place] = np.where(spread > 0, found / scale, 0.0)
    return StackWeights(sets, centre, weight)


def centred(added: np.ndarray, has: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, B) means of contributions (n, M, B) over those who have the input, and (n, M, B) centred.

    has: (n, B) bool; who lacks an input is average.
    """
    there = has[:, None, :]
    centre: np.ndarray = np.where(there, added, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return centre, np.where(there, added - centre, 0.0)


def non_negative_cox(
    x: np.ndarray, time: np.ndarray, event: np.ndarray, ridge: float
) -> np.ndarray:
    """Coefficients (p,), none below 0, that maximise the partial likelihood under a ridge penalty.

    >>> x = np.array([[1.0, -1.0], [0.0, 0.0], [-1.0, 1.0]])
    >>> float(non_negative_cox(x, np.array([1.0, 2.0, 3.0]), np.ones(3, bool), 1.0)[1])
    0.0
    """
    from scipy.optimize import minimize

    if x.shape[1] == 0 or not event.any():
        return np.zeros(x.shape[1])
    likelihood = PartialLikelihood.of(time, event)

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = likelihood.value_and_slope(x @ beta)
        return 0.5 * ridge * float(beta @ beta) - value, ridge * beta - slope @ x

    start, bounds = np.zeros(x.shape[1]), [(0.0, None)] * x.shape[1]
    options = {"gtol": 1e-8, "ftol": 1e-14}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    coefficients: np.ndarray = found.x
    return coefficients
