"""What is said of the risk of new patients at every horizon, as prediction files hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from survfuse.evaluation.frozen_risks import FrozenRisks, NewRisks
from survfuse.evaluation.risks import ESTIMATED


def horizon_estimates(
    found: Sequence[tuple[FrozenRisks, NewRisks]], n: int, reasons: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Of each of n patients: `horizons`, from the first on, and `not_estimable` with reasons.

    And, for tasks that fill them, `classes` and `event_free`.

    Whoever had the event by one horizon has had it by the next, so that no estimate and no limit
    lies below that of an earlier one; an interval that held the risk still does.
    """
    rows: list[list[dict[str, Any]]] = [[] for _ in range(n)]
    before: dict[str, np.ndarray] = {}
    for kept, risks in sorted(found, key=lambda pair: pair[0].months):
        for name in ESTIMATED:
            values = getattr(risks, name)
            before[name] = np.maximum(values, before.get(name, values))
        for row in range(n):
            rows[row].append(
                {
                    "months": kept.months,
                    **{name: float(values[row]) for name, values in before.items()},
                    "beyond_study": bool(risks.beyond[row]),
                    "observed": kept.observed,
                    "events": kept.fit.events,
                }
            )
    shared: dict[str, Any] = {"classes": [], "event_free": None, "not_estimable": dict(reasons)}
    return [{**shared, "horizons": one} for one in rows]
