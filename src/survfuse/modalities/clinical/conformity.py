"""Whether covariates of new patients are like those of the study that a package was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from survfuse.config.cohort import Covariate
from survfuse.core.messages import Message
from survfuse.modalities.conformity import Conformed, Remark, outside_usual, usual_range


def described(clinical: pd.DataFrame, covariates: Mapping[str, Covariate]) -> dict[str, Any]:
    """What is kept of every covariate: `range` of numbers, or the `levels` that patients had.

    `clinical`: raw text of all patients, "" = missing.
    """
    kept: dict[str, Any] = {}
    for name, covariate in covariates.items():
        given = clinical.loc[clinical[name] != "", name]
        if covariate.type != "continuous":
            kept[name] = {"levels": sorted(given.unique().tolist())}
        elif len(given):
            kept[name] = {"range": list(usual_range(given.astype(float).to_numpy()))}
    return kept


def conformed(frame: pd.DataFrame, kept: Mapping[str, Any]) -> Conformed[pd.DataFrame]:
    """The covariates that the models read, with unknown levels made empty, which is missing.

    `frame`: raw text by patient id; columns that it lacks are missing in everybody.
    """
    frame, remarks = frame.copy(), list[Remark]()
    for name, usual in kept.items():
        if name not in frame:
            frame[name] = ""
            said = Message(
                "%(name)s is not in the patient sheet; it counts as missing.", {"name": name}
            )
            remarks.append(Remark(said))
        elif "range" in usual:
            remarks += outside(frame[name], *usual["range"])
        else:
            unknown = ~frame[name].isin(["", *usual["levels"]])
            for patient, level in frame.loc[unknown, name].items():
                said = Message(
                    "%(name)s is '%(level)s', which no patient of the study had; it counts as "
                    "missing.",
                    {"name": name, "level": str(level)},
                )
                remarks.append(Remark(said, str(patient)))
            frame.loc[unknown, name] = ""
    return Conformed(frame, remarks)


def outside(column: pd.Series[str], low: float, high: float) -> Iterator[Remark]:
    """A remark for every number outside the usual range."""
    numbers = pd.to_numeric(column.mask(column == "")).to_numpy(dtype=float)
    for row in np.flatnonzero((numbers < low) | (numbers > high)).tolist():
        said = outside_usual(str(column.name), float(numbers[row]), low, high)
        yield Remark(said, str(column.index[row]))
