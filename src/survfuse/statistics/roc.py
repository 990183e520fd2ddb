"""The ROC curve that belongs to an AUROC computed within folds."""

from __future__ import annotations

import numpy as np

from survfuse.statistics.delong import members_of

STEPS = 97  # a prime, so that the middles of the steps miss the corners of the curves
MIDDLES = (np.arange(STEPS) + 0.5) / STEPS


def roc_curve(
    score: np.ndarray, case: np.ndarray, fold: np.ndarray, weight: np.ndarray
) -> list[dict[str, float]]:
    """Sensitivity at each share of false alarms, averaged over folds by their number of pairs.

    `score`, `case` bool, `fold` and `weight`, what a row counts, are (n,). Every fold has a model
    of its own, so its curve is drawn alone and the curves are averaged vertically; the area is that
    of the AUROC within folds. Folds without two of each outcome are left out, as there; empty where
    no fold is left.
    """
    curves, pairs = [], []
    for rows in members_of(fold):
        with_it, without = score[rows][case[rows]], score[rows][~case[rows]]
        if min(len(with_it), len(without)) < 2:
            continue
        cuts = np.unique(score[rows])[::-1]
        ours, theirs = weight[rows][case[rows]], weight[rows][~case[rows]]
        sensitivity = np.average(with_it[:, None] >= cuts, axis=0, weights=ours)
        alarms = np.average(without[:, None] >= cuts, axis=0, weights=theirs)
        curves.append(np.interp(MIDDLES, np.r_[0, alarms], np.r_[0, sensitivity]))
        pairs.append(ours.sum() * theirs.sum())
    if not curves:
        return []
    mean = np.average(curves, axis=0, weights=pairs)
    points = [(0.0, 0.0), *zip(MIDDLES.tolist(), mean.tolist(), strict=True), (1.0, 1.0)]
    return [{"false_alarms": x, "sensitivity": y} for x, y in points]
