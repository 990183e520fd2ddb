"""What is said of the risk of new patients at every horizon, as prediction files hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from survfuse.evaluation.frozen_risks import FrozenRisks
from survfuse.evaluation.risks import ESTIMATED

ByFold = Mapping[str, np.ndarray]


def horizon_estimates(
    frozen: Mapping[str, Any],
    survival_at: Callable[[float], ByFold],
    has: Mapping[str, np.ndarray],
    n: int,
) -> list[dict[str, Any]]:
    """Of each of n patients: `horizons`, from the first on, and `not_estimable` with reasons.

    And, for tasks that fill them, `classes` and `event_free_bound`. `frozen`: `horizons` of
    FrozenRisks and `reasons`, as `Task.freeze` has them. `survival_at`: by a time in months, what
    the model of each fold predicts. `has`: by modality, (n,) who has it.

    Whoever had the event by one horizon has had it by the next, so that no estimate and no limit
    lies below that of an earlier one; an interval that held the risk still does.
    """
    rows: list[list[dict[str, Any]]] = [[] for _ in range(n)]
    before: dict[str, np.ndarray] = {}
    kept = [FrozenRisks.from_json(stored) for stored in frozen["horizons"].values()]
    for one in sorted(kept, key=lambda one: one.months):
        risks = one.risks(survival_at(one.months), has)
        for name in ESTIMATED:
            values = getattr(risks, name)
            before[name] = np.maximum(values, before.get(name, values))
        for row in range(n):
            rows[row].append(
                {
                    "months": one.months,
                    **{name: float(values[row]) for name, values in before.items()},
                    "beyond_study": bool(risks.beyond[row]),
                    "observed": one.observed,
                    "events": one.fit.events,
                }
            )
    reasons = dict(frozen["reasons"])
    shared: dict[str, Any] = {"classes": [], "event_free_bound": None, "not_estimable": reasons}
    return [{**shared, "horizons": found} for found in rows]
