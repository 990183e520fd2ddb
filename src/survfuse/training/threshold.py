"""The probability at which a diagnosis is called positive, chosen on inner patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def youden_threshold(probability: NDArray[np.float64], case: NDArray[np.bool_]) -> float:
    """The threshold with the largest sensitivity plus specificity (Youden, Cancer 1950;3:32).

    probability and case: (n,). It lies midway between two neighbouring probabilities, so that new
    patients need not repeat one; of equally good ones the middle is taken. NaN without a patient
    of each class.
    """
    if case.all() or not case.any():
        return float("nan")
    values = np.unique(probability)
    between = (values[1:] + values[:-1]) / 2
    candidates = np.concatenate([[values[0] / 2], between, [(values[-1] + 1) / 2]])
    positive = probability[None, :] >= candidates[:, None]
    index = positive[:, case].mean(axis=1) - positive[:, ~case].mean(axis=1)
    best = np.flatnonzero(index >= index.max() - 1e-12)
    return float(candidates[best[len(best) // 2]])
