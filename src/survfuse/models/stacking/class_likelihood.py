"""Log-likelihood of classes under linear predictors, with its slope: a softmax of them.

There is a linear predictor of every class, but of two classes one is enough: that of the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

LEAST = 0.5  # patients that a class counts at least, where intercepts start


@dataclass(frozen=True)
class ClassLikelihood:
    """The classes of n patients. own: (n, K) the weight of a patient in his class, else 0."""

    own: np.ndarray

    @staticmethod
    def of(label: np.ndarray, weight: np.ndarray, classes: int) -> ClassLikelihood:
        """Of labels (n,) below `classes`, all known, and what each patient stands for (n,)."""
        return ClassLikelihood(weight[:, None] * np.eye(classes)[label])

    @property
    def classes(self) -> int:
        """How many there are."""
        return self.own.shape[1]

    @property
    def predictors(self) -> int:
        """Q linear predictors: 1 of two classes, else one of each."""
        return 1 if self.classes == 2 else self.classes

    def shares(self) -> np.ndarray:
        """(K,) weighted shares of the classes, none quite 0."""
        counts = np.maximum(self.own.sum(axis=0), LEAST)
        found: np.ndarray = counts / counts.sum()
        return found

    def intercepts(self) -> np.ndarray:
        """(Q,) linear predictors that give everybody these shares."""
        logs = np.log(self.shares())
        return logs[1:] - logs[0] if self.predictors == 1 else logs - logs.mean()

    def value_and_slope(self, predictor: np.ndarray) -> tuple[float, np.ndarray]:
        """Log-likelihood of linear predictors (n, Q), and its slope (n, Q) by them."""
        logs = log_softmax(all_predictors(predictor), axis=1)
        expected = self.own.sum(axis=1, keepdims=True) * np.exp(logs)
        return float((self.own * logs).sum()), (self.own - expected)[:, -self.predictors :]

    def value(self, predictor: np.ndarray) -> float:
        """Log-likelihood of linear predictors (n, Q)."""
        return self.value_and_slope(predictor)[0]


def all_predictors(predictor: np.ndarray) -> np.ndarray:
    """(n, K) linear predictors of all classes; that of the first of two is 0."""
    if predictor.shape[1] > 1:
        return predictor
    return np.concatenate([np.zeros_like(predictor), predictor], axis=1)


def probabilities(predictor: np.ndarray) -> np.ndarray:
    """(n, K) probabilities of the classes, from linear predictors (n, Q).

    >>> probabilities(np.array([[0.0]])).tolist()
    [[0.5, 0.5]]
    """
    found: np.ndarray = np.exp(log_softmax(all_predictors(predictor), axis=1))
    return found
