"""Ensembles of decision trees as plain arrays: stored without pickle, applied without the library.

All nodes of all trees lie end to end. A leaf is its own child on both sides, so that patients can
be sent down all trees at once until nobody moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.models.classical.cox import CoxModel, breslow


@dataclass(frozen=True)
class Trees:
    """T binary trees with N nodes in all; x[feature] <= threshold goes left."""

    root: np.ndarray  # (T,) int64
    feature: np.ndarray  # (N,) int64, 0 at leaves
    threshold: np.ndarray  # (N,) float64
    left: np.ndarray  # (N,) int64
    right: np.ndarray  # (N,) int64

    def leaves(self, x: np.ndarray) -> np.ndarray:
        """Node (n, T) at which each row of x (n, p) ends in each tree.

        x is rounded to single precision first, because the thresholds were chosen between values
        so rounded: a patient at a threshold would otherwise fall on the other side.
        """
        x = x.astype(np.float32)
        rows = np.arange(len(x))[:, None]
        node = np.broadcast_to(self.root, (len(x), len(self.root)))
        while True:
            goes_left = x[rows, self.feature[node]] <= self.threshold[node]
            reached = np.where(goes_left, self.left[node], self.right[node])
            if np.array_equal(reached, node):
                return node
            node = reached

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        return {f"trees.{name}": value for name, value in vars(self).items()}

    @staticmethod
    def from_arrays(named: Mapping[str, np.ndarray]) -> Trees:
        """The inverse of `arrays`."""
        fields = ("root", "feature", "threshold", "left", "right")
        return Trees(**{name: named[f"trees.{name}"] for name in fields})


def stack_trees(fitted: Sequence[Any]) -> Trees:
    """The trees of scikit-learn estimators (each with a `tree_`), end to end."""
    sizes = [estimator.tree_.node_count for estimator in fitted]
    root = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    feature, threshold, left, right = (
        [np.zeros(0, dtype)] for dtype in (np.int64, np.float64, np.int64, np.int64)
    )
    for estimator, offset in zip(fitted, root[:-1], strict=True):
        tree = estimator.tree_
        own = np.arange(tree.node_count)
        leaf = tree.children_left < 0
        feature.append(np.where(leaf, 0, tree.feature))
        threshold.append(np.where(leaf, 0.0, tree.threshold))
        left.append(np.where(leaf, own, tree.children_left) + offset)
        right.append(np.where(leaf, own, tree.children_right) + offset)
    return Trees(root[:-1], *(np.concatenate(part) for part in (feature, threshold, left, right)))


@dataclass(frozen=True)
class Forest:
    """A random survival forest: every leaf is a Kaplan-Meier curve, kept as its S steps.

    The curve of node j has steps `step_start[j]` to `step_start[j + 1]`; the forest predicts the
    mean curve of the leaves a patient falls into.
    """

    trees: Trees
    leaf_risk: np.ndarray  # (N,) cumulative hazard, summed over the event times of training
    step_start: np.ndarray  # (N + 1,) int64
    step_months: np.ndarray  # (S,)
    step_survival: np.ndarray  # (S,)
    last_months: np.ndarray  # (1,) the last follow-up seen in training

    def risk(self, x: np.ndarray) -> np.ndarray:
        """Expected events (n,) in the sense of Ishwaran et al. 2008; higher is worse."""
        return self.leaf_risk[self.trees.leaves(x)].mean(axis=1)

    def survival(self, x: np.ndarray, grid_months: np.ndarray) -> np.ndarray:
        """S(t|x) as (n, len(grid)); NaN beyond the last follow-up seen in training."""
        of_node = self.node_survival(grid_months)
        total = np.zeros((len(x), len(grid_months)))
        for leaf in self.trees.leaves(x).T:  # a tree at a time keeps memory small
            total += of_node[leaf]
        surviving = total / len(self.trees.root)
        surviving[:, grid_months > self.last_months] = np.nan
        return surviving

    def node_survival(self, grid_months: np.ndarray) -> np.ndarray:
        """The curves of all nodes on a grid, (N, len(grid)); 1 before the first step."""
        passed = np.cumsum(self.step_months[:, None] <= grid_months, axis=0)
        passed = np.concatenate([np.zeros((1, len(grid_months)), dtype=np.int64), passed])
        start = self.step_start[:-1, None]
        count = passed[self.step_start[1:]] - passed[self.step_start[:-1]]
        padded = np.concatenate([[1.0], self.step_survival])
        return padded[np.where(count > 0, start + count, 0)]

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        own = {f"forest.{name}": value for name, value in vars(self).items() if name != "trees"}
        return {**self.trees.arrays(), **own}

    @staticmethod
    def from_arrays(named: Mapping[str, np.ndarray]) -> Forest:
        """The inverse of `arrays`."""
        fields = ("leaf_risk", "step_start", "step_months", "step_survival", "last_months")
        return Forest(
            Trees.from_arrays(named), **{name: named[f"forest.{name}"] for name in fields}
        )


def forest_of(fitted: Any, last_months: float) -> Forest:
    """The arrays of a fitted `sksurv.ensemble.RandomSurvivalForest`."""
    risks, counts, months, survivals = [], [], [], []
    for estimator in fitted.estimators_:
        tree = estimator.tree_
        curves = np.where(tree.children_left[:, None] < 0, tree.value[..., 1], 1.0)
        before = np.concatenate([np.ones((len(curves), 1)), curves[:, :-1]], axis=1)
        node, step = np.nonzero(curves != before)
        risks.append(tree.value[:, estimator.is_event_time_, 0].sum(axis=1))
        counts.append(np.bincount(node, minlength=len(curves)))
        months.append(estimator.unique_times_[step])
        survivals.append(curves[node, step])
    return Forest(
        stack_trees(fitted.estimators_),
        np.concatenate(risks),
        np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64),
        np.concatenate(months),
        np.concatenate(survivals),
        np.array([last_months]),
    )


@dataclass(frozen=True)
class BoostedTrees:
    """A log-hazard ratio that is a sum over trees, and the baseline hazard that belongs to it."""

    trees: Trees
    leaf_value: np.ndarray  # (N,) with the learning rate in it
    baseline: CoxModel  # of the log-hazard ratio as its one column

    def risk(self, x: np.ndarray) -> np.ndarray:
        """Log-hazard ratio (n,); 0 for everybody without trees."""
        total: np.ndarray = self.leaf_value[self.trees.leaves(x)].sum(axis=1)
        return total

    def survival(self, x: np.ndarray, grid_months: np.ndarray) -> np.ndarray:
        """S(t|x) as (n, len(grid)); NaN beyond the last follow-up seen in training."""
        return self.baseline.survival(self.risk(x)[:, None], grid_months)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        baseline = {f"baseline.{name}": value for name, value in vars(self.baseline).items()}
        return {**self.trees.arrays(), "boosting.leaf_value": self.leaf_value, **baseline}

    @staticmethod
    def from_arrays(named: Mapping[str, np.ndarray]) -> BoostedTrees:
        """The inverse of `arrays`."""
        fields = ("coefficients", "times", "hazard")
        baseline = CoxModel(**{name: named[f"baseline.{name}"] for name in fields})
        return BoostedTrees(Trees.from_arrays(named), named["boosting.leaf_value"], baseline)


def boosted_of(
    stages: Sequence[Any], learning_rate: float, x: np.ndarray, time: np.ndarray, event: np.ndarray
) -> BoostedTrees:
    """The arrays of fitted regression trees, with Breslow's baseline of the patients x (n, p)."""
    trees = stack_trees(stages)
    values = [stage.tree_.value[:, 0, 0] for stage in stages]
    leaf_value = learning_rate * np.concatenate([np.zeros(0), *values])
    score = leaf_value[trees.leaves(x)].sum(axis=1)
    return BoostedTrees(trees, leaf_value, breslow(score, time, event))
