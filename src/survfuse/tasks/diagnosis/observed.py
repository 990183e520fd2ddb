"""Probabilities of classes of new patients beside the diagnoses that were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from survfuse.evaluation.observed import FEWEST, beside, by_follow_up
from survfuse.statistics.proportions import wilson
from survfuse.tasks.diagnosis.classes import UNKNOWN


def observed(
    estimates: Sequence[Mapping[str, Any]], outcomes: pd.DataFrame, confidence: float
) -> list[dict[str, Any]]:
    """At a horizon as of survival; else each class that enough patients have, and have not.

    Its share beside its mean probability, among patients whose class is known.
    """
    if "time_months" in outcomes:
        return by_follow_up(estimates, outcomes, confidence)
    label = outcomes["label"].to_numpy(dtype=int)
    rows = [row for row in range(len(estimates)) if label[row] != UNKNOWN]
    names = [one["name"] for one in estimates[rows[0]]["classes"]] if rows else []
    found = []
    for number, name in enumerate(names):
        of_class = int((label[rows] == number).sum())
        if min(of_class, len(rows) - of_class) < FEWEST:
            continue
        mean = float(np.mean([estimates[row]["classes"][number]["probability"] for row in rows]))
        share = wilson(of_class, len(rows), confidence)
        found.append(beside(name, len(rows), of_class, mean, share))
    return found
