"""Decision curves of several predictions side by side, in all resamples of a cohort at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from survfuse.statistics.intervals import percentile_interval

# To be set before looking.
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


def decision_curve(
    probability: Mapping[str, np.ndarray],
    case: np.ndarray,
    weight: np.ndarray,
    counts: np.ndarray,
    confidence: float,
    against: str | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[dict[str, Any]]:
    """Net benefit by threshold, of each prediction and of acting on everybody (on nobody it is 0).

    Net benefit = TP/n - FP/n * t/(1 - t), probability >= t meaning to act (Vickers and Elkin, Med
    Decis Making 2006;26:565). `probability` by name, (n,) each; `case` (n,) bool; `weight` (n,):
    what each patient counts, 0 for those of whom it is not known. `counts` (1 + B, n) as from
    `draw_counts`. `against`: the name that differences of the others are taken from.
    """
    drawn = counts * weight
    total = drawn.sum(axis=1)
    curve = []
    for threshold in thresholds:
        worth = np.where(case, 1.0, -threshold / (1 - threshold))
        found = {
            name: (drawn @ ((p >= threshold) * worth)) / total for name, p in probability.items()
        }
        estimates = {
            name: percentile_interval(values, confidence).as_json()
            for name, values in found.items()
        }
        differences = {
            name: percentile_interval(values - found[against], confidence).as_json()
            for name, values in found.items()
            if against is not None and name != against
        }
        everybody = percentile_interval((drawn @ worth) / total, confidence).as_json()
        curve.append(
            {
                "threshold": threshold,
                "act_on_everybody": everybody,
                "net_benefit": estimates,
                "difference": differences,
            }
        )
    return curve
