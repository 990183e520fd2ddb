"""Rows that have collapsed: in some fold they predict the same for everybody.

Such a row ranks nobody there, and its AUROC or C-index of 0.5 is not a measurement. To beat it
shows nothing.
"""

from __future__ import annotations

import numpy as np

# Scores closer than this share of the largest are the same but for single precision.
ROUNDING = 1e-6


def collapsed_folds(score: np.ndarray, fold: np.ndarray) -> list[int]:
    """The folds whose rows all have one and the same score, in the order of their numbers.

    `score` (n,), or (n, K) with one column per class; `fold` (n,) numbers. A fold of one row shows
    nothing and is not listed. Missing scores (NaN) are left out.
    """
    table = np.asarray(score, float).reshape(len(fold), -1)
    return [int(one) for one in np.unique(fold) if is_constant(table[fold == one])]


def is_constant(table: np.ndarray) -> bool:
    """Whether two or more rows (n, K) are the same but for rounding; rows with NaN do not count."""
    rows = table[~np.isnan(table).any(axis=1)]
    if len(rows) < 2:
        return False
    return bool((np.ptp(rows, axis=0) <= ROUNDING * np.abs(rows).max()).all())
