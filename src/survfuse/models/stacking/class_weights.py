"""How members of a stack are weighed for a diagnosis: logistic regression of cross-fitted scores.

Every member has one weight for all classes, which is not negative, and every class an intercept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from survfuse.models.stacking.class_likelihood import ClassLikelihood, probabilities
from survfuse.models.stacking.weights import RIDGE, StackWeights, centred

LEAST_PATIENTS = 20  # of every class who have a set of inputs, for weights of their own


@dataclass(frozen=True)
class ClassWeights:
    """The weights of members for each of S sets of blocks that a patient may have.

    shared: of all classes; its inputs are the blocks, each once for every linear predictor.
    intercept: (S, Q), the linear predictors of a patient who is average in all that he has.
    """

    shared: StackWeights
    intercept: np.ndarray

    def probability(self, added: np.ndarray, has: np.ndarray) -> np.ndarray:
        """(n, K) probabilities of the classes.

        added: (n, M, B, Q) what each block adds to each linear predictor of each member. has:
        (n, B) bool.
        """
        n, predictors = len(added), added.shape[3]
        often = np.repeat(has, predictors, axis=1)
        total = self.shared.contributions(one_by_one(added), often)
        chosen = self.intercept[self.shared.sets_of(often)]
        return probabilities(chosen + total.reshape(n, -1, predictors).sum(axis=1))

    def of_members(self, has: np.ndarray) -> np.ndarray:
        """(n, M) the weight of each member for each patient, who has blocks (n, B) bool."""
        often = np.repeat(has, self.intercept.shape[1], axis=1)
        return self.shared.weight[self.shared.sets_of(often)]

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        return {**self.shared.arrays(), "intercept": self.intercept}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> ClassWeights:
        """The inverse of `arrays`."""
        return ClassWeights(StackWeights.from_arrays(arrays), arrays["intercept"])


def fit_class_weights(
    added: np.ndarray,
    has: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    classes: int,
    sets: np.ndarray,
    ridge: float = RIDGE,
) -> ClassWeights:
    """Weights for each of `sets` (S, B), from cross-fitted contributions (n, M, B, Q).

    As `fit_stack_weights`: those of a set are learned from all patients who have all its blocks, or
    from all patients where a class has few of these. label, weight: (n,) of the patients.
    """
    n, members, _, predictors = added.shape
    flat, often = one_by_one(added), np.repeat(has, predictors, axis=1)
    repeated = np.repeat(sets, predictors, axis=1)
    centre = np.zeros((len(sets), *flat.shape[1:]))
    shared, intercept = np.zeros((len(sets), members)), np.zeros((len(sets), predictors))
    for place, own in enumerate(sets):
        whole = has[:, own].all(axis=1)
        if np.bincount(label[whole], minlength=classes).min() < LEAST_PATIENTS:
            whole = np.ones(n, dtype=bool)
        centre[place], values = centred(flat[whole], often[whole] & repeated[place])
        scores = values.reshape(len(values), members, -1, predictors).sum(axis=2)
        spread = spreads(scores)
        scale = np.where(spread > 0, spread, 1.0)
        likelihood = ClassLikelihood.of(label[whole], weight[whole], classes)
        found, intercept[place] = non_negative_logistic(scores / scale[:, None], likelihood, ridge)
        shared[place] = np.where(spread > 0, found / scale, 0.0)
    return ClassWeights(StackWeights(repeated, centre, shared), intercept)


def one_by_one(added: np.ndarray) -> np.ndarray:
    """(n, M, B * Q) contributions of every block to every linear predictor as single inputs."""
    return added.reshape(*added.shape[:2], -1)


def spreads(scores: np.ndarray) -> np.ndarray:
    """(M,) standard deviations of the members' scores (n, M, Q), pooled over linear predictors."""
    found: np.ndarray = np.sqrt(scores.var(axis=0).mean(axis=1))
    return found


def non_negative_logistic(
    scores: np.ndarray, likelihood: ClassLikelihood, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (M,), none below 0, under a ridge penalty, and intercepts (Q,) without one.

    scores: (n, M, Q) of the members; the linear predictors are their weighted sums.
    """
    from scipy.optimize import minimize

    members = scores.shape[1]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        own, intercept = theta[:members], theta[members:]
        value, slope = likelihood.value_and_slope(intercept + np.einsum("m,nmq->nq", own, scores))
        uphill = np.concatenate([np.einsum("nq,nmq->m", slope, scores), slope.sum(axis=0)])
        shrunk = np.concatenate([ridge * own, np.zeros(len(intercept))])
        return 0.5 * ridge * float(own @ own) - value, shrunk - uphill

    start = np.concatenate([np.zeros(members), likelihood.intercepts()])
    bounds = [(0.0, None)] * members + [(None, None)] * likelihood.predictors
    options = {"gtol": 1e-8, "ftol": 1e-14, "maxiter": 2000}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return found[:members], found[members:]
