"""Turning declared clinical covariates into numbers, fitted on training patients only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from survfuse.config.cohort import Covariate
from survfuse.core.errors import UserInputError


@dataclass(frozen=True)
class EncodedColumn:
    """One numeric column: a variable, or one category of it, with its standardisation."""

    variable: str
    category: str  # "" unless the variable is categorical
    fill: float  # value of a patient whose entry is missing, before standardisation
    mean: float
    std: float


@dataclass(frozen=True)
class ClinicalEncoder:
    """Maps raw text values to standardised columns.

    A missing value becomes the training median (categorical: no category), so that being missing
    carries no information of its own.
    """

    columns: tuple[EncodedColumn, ...]
    levels: dict[str, list[str]]  # of the ordinal variables

    @property
    def names(self) -> list[str]:
        """Readable column names."""
        return [c.variable + (f" = {c.category}" if c.category else "") for c in self.columns]

    def transform(self, clinical: pd.DataFrame) -> np.ndarray:
        """Encode a frame of raw values: (n, columns) float64 without missing values.

        Raises UserInputError where a variable is gone.
        """
        gone = sorted({column.variable for column in self.columns} - set(clinical.columns))
        if gone:
            raise UserInputError(
                f"the clinical table has no {', '.join(gone)}, which the model was fitted on; add "
                "it, or train the model again"
            )
        encoded = np.empty((len(clinical), len(self.columns)))
        for position, column in enumerate(self.columns):
            raw = numbers(clinical[column.variable], column, self.levels)
            encoded[:, position] = (np.where(np.isnan(raw), column.fill, raw) - column.mean) / (
                column.std
            )
        return encoded

    def arrays(self) -> dict[str, np.ndarray]:
        """Nothing: all of it is told as JSON."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """A JSON-serialisable copy."""
        return {"columns": [asdict(column) for column in self.columns], "levels": self.levels}

    @staticmethod
    def from_json(stored: dict[str, Any]) -> ClinicalEncoder:
        """The inverse of `to_json`."""
        return ClinicalEncoder(
            tuple(EncodedColumn(**column) for column in stored["columns"]), stored["levels"]
        )


def fit_encoder(clinical: pd.DataFrame, covariates: Mapping[str, Covariate]) -> ClinicalEncoder:
    """Fit on the raw values of training patients; columns that do not vary are left out.

    Continuous variables are standardised, ordinal ones are ranked by their declared levels and
    then standardised, categorical ones become one indicator per category but the commonest.
    """
    levels = {name: covariate.levels for name, covariate in covariates.items() if covariate.levels}
    columns = []
    for name, covariate in covariates.items():
        categories = [""]
        if covariate.type == "categorical":
            present = clinical[name].str.strip()
            counts = present[present != ""].value_counts()
            commonest = counts.index[0] if len(counts) else ""
            categories = sorted(set(counts.index) - {commonest})
        for category in categories:
            column = EncodedColumn(name, category, 0.0, 0.0, 1.0)
            raw = numbers(clinical[name], column, levels)
            if np.isnan(raw).all():
                continue
            fill = 0.0 if category else float(np.nanmedian(raw))
            filled = np.where(np.isnan(raw), fill, raw)
            if filled.std() > 0:
                columns.append(
                    EncodedColumn(name, category, fill, float(filled.mean()), float(filled.std()))
                )
    return ClinicalEncoder(tuple(columns), levels)


def numbers(raw: pd.Series, column: EncodedColumn, levels: Mapping[str, list[str]]) -> np.ndarray:
    """Raw text of one variable as floats, NaN where missing, before standardisation."""
    text = raw.str.strip()
    missing: np.ndarray = (text == "").to_numpy()
    if column.category:
        values: np.ndarray = (text == column.category).to_numpy(dtype=float)
    elif column.variable in levels:
        rank = {level: float(position) for position, level in enumerate(levels[column.variable])}
        values = text.map(rank).to_numpy(dtype=float)
    else:
        values = pd.to_numeric(text.mask(text == "")).to_numpy(dtype=float)
    return np.where(missing, np.nan, values)
