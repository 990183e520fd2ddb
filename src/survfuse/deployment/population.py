"""The patients of a study as counts, with which a package compares those of later periods.

Quintiles of numbers, levels of categories, and how many have which modality. Cells of few patients
are put together or count as empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from survfuse.config.cohort import Covariate
from survfuse.modalities.cohort import CohortInputs
from survfuse.statistics.new_patients.drift import FEWEST, counts_between, edges

PARTS = 5


def population(
    inputs: CohortInputs, covariates: Mapping[str, Covariate], reads: Sequence[str]
) -> dict[str, Any]:
    """What is kept: `n_patients`, `has` by modality, and `covariates` by name."""
    ids = inputs.patients.index.tolist()
    return {
        "n_patients": len(ids),
        "has": {name: int(inputs.available(name, ids).sum()) for name in reads},
        "covariates": {
            name: cells(inputs.patients[name], covariate.type == "continuous")
            for name, covariate in covariates.items()
        },
    }


def cells(values: pd.Series[str], continuous: bool) -> dict[str, Any]:
    """`edges` or `levels`, with the `counts` of the patients who have a value."""
    given = values[values != ""]
    if continuous:
        numbers = given.astype(float).to_numpy()
        parts = min(PARTS, max(len(numbers) // FEWEST, 1))
        inner = edges(numbers, parts) if len(numbers) else []
        return {"edges": inner, "counts": counts_between(numbers, inner)}
    number = given.value_counts()
    levels = sorted(str(level) for level in number.index[number >= FEWEST])
    *of_level, others = counts_of(given, levels)
    return {"levels": levels, "counts": [*of_level, others if others >= FEWEST else 0]}


def counts_of(values: pd.Series[str], levels: Sequence[str]) -> list[int]:
    """How many patients have each level, and how many any other."""
    of_level = [int((values == level).sum()) for level in levels]
    return [*of_level, len(values) - sum(of_level)]


def counted_again(values: pd.Series[str], kept: Mapping[str, Any]) -> list[int]:
    """The patients of another period in the cells of the study."""
    given = values[values != ""]
    if "edges" in kept:
        numbers: np.ndarray = given.astype(float).to_numpy()
        return counts_between(numbers, kept["edges"])
    return counts_of(given, kept["levels"])
