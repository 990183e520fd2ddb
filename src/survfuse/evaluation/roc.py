"""The ROC curve that belongs to an AUROC computed within folds."""

from __future__ import annotations

import numpy as np

from survfuse.evaluation.delong import members_of

STEPS = 97  # a prime, so that the middles of the steps miss the corners of the curves
MIDDLES = (np.arange(STEPS) + 0.5) / STEPS


def roc_curve(score: np.ndarray, case: np.ndarray, fold: np.ndarray) -> list[dict[str, float]]:
    """Sensitivity at each share of false alarms, averaged over folds by their number of pairs.

    `score`, `case` bool and `fold` are (n,). Every fold has a model of its own, so its curve is
    drawn alone and the curves are averaged vertically; the area is that of the AUROC within folds.
    Folds without two of each outcome are left out, as there; empty where no fold is left.
    """
    curves, pairs = [], []
    for rows in members_of(fold):
        with_it, without = score[rows][case[rows]], score[rows][~case[rows]]
        if min(len(with_it), len(without)) < 2:
            continue
        cuts = np.unique(score[rows])[::-1]
        sensitivity = (with_it[:, None] >= cuts).mean(axis=0)
        alarms = (without[:, None] >= cuts).mean(axis=0)
        curves.append(np.interp(MIDDLES, np.r_[0, alarms], np.r_[0, sensitivity]))
        pairs.append(len(with_it) * len(without))
    if not curves:
        return []
    mean = np.average(curves, axis=0, weights=pairs)
    points = [(0.0, 0.0), *zip(MIDDLES.tolist(), mean.tolist(), strict=True), (1.0, 1.0)]
    return [{"false_alarms": x, "sensitivity": y} for x, y in points]
