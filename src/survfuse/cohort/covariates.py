"""Checking the site and covariate columns: typing, and no outcome in disguise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from survfuse.cohort.endpoint import endpoint_columns
from survfuse.cohort.problems import Problem
from survfuse.cohort.sheets import Sheet, as_number, cells_of, fault_of_text
from survfuse.config import CohortConfig, Covariate

COPY_CORRELATION = 0.9999  # a covariate this close to the time is the time in another unit
COPY_ROWS = 8  # with fewer filled cells a perfect agreement may be chance


def check_site(sheet: Sheet, column: str) -> list[Problem]:
    """Problems of the site column: every patient needs a printable site."""
    problems = []
    for row, text in cells_of(sheet, column):
        if fault := ("is empty" if not text else fault_of_text(text)):
            remedy = "name the centre that supplied the patient"
            problems.append(sheet.problem(row, column, fault, remedy, text))
    return problems


def check_covariates(sheet: Sheet, config: CohortConfig) -> list[Problem]:
    """Problems of the covariate columns, by their declared type. Empty cells mean missing."""
    problems = []
    for name, covariate in config.covariates.items():
        if reserved := reserved_name(name, config):
            remedy = "remove or rename it under cohort.covariates"
            problems.append(sheet.problem(None, name, reserved, remedy))
            continue
        if not any(sheet.rows[name]):
            remedy = "remove it from cohort.covariates"
            problems.append(sheet.problem(None, name, "is empty in every row", remedy))
        for row, text in cells_of(sheet, name):
            if text and (fault := fault_of_value(text, covariate)):
                problems.append(sheet.problem(row, name, *fault, text))
    return problems


def reserved_name(name: str, config: CohortConfig) -> str | None:
    """Why a column cannot be a covariate, or None."""
    if name in endpoint_columns(config):
        return "is the outcome, it cannot be a covariate"
    if name == "patient_id":
        return "identifies patients, it cannot be a covariate"
    if name == "site" and config.site != "site":
        return "has the name that the results give to the column cohort.site"
    return None


def fault_of_value(text: str, covariate: Covariate) -> tuple[str, str] | None:
    """What is wrong with a filled cell and the remedy, or None."""
    if covariate.type == "continuous":
        value = as_number(text)
        if value is None or not math.isfinite(value):
            remedy = "write a number with a decimal point; leave unknown values empty"
            return "is not a number", remedy
    elif covariate.type == "ordinal":
        if text not in covariate.levels:
            levels = ", ".join(covariate.levels)
            return "is not a level", f"use one of: {levels}; leave unknown values empty"
    elif fault := fault_of_text(text):
        return fault, f"use short labels of printable characters in {covariate.type} columns"
    return None


def check_leaks(sheet: Sheet, outcomes: pd.DataFrame, config: CohortConfig) -> list[Problem]:
    """Problems of inputs that repeat the outcome under another name.

    `outcomes` is indexed like the sheet and free of problems.
    """
    columns = list(config.covariates) + ([config.site] if config.site else [])
    remedy = "remove it: a model must not read the outcome"
    return [
        sheet.problem(None, name, copy, remedy)
        for name in dict.fromkeys(columns)
        if (copy := copy_of_outcome(sheet.rows[name], outcomes))
    ]


def copy_of_outcome(cells: pd.Series[str], outcomes: pd.DataFrame) -> str | None:
    """How a column gives the outcome away, or None.

    A column of fewer than 8 filled cells is not judged. Otherwise it is a copy of the event if
    its two values, or being filled, agree with the event one to one; and a copy of the time if it
    is a linear function of it (the same time, in whatever unit).
    """
    filled = cells != ""
    if filled.sum() < COPY_ROWS:
        return None
    for name in [column for column in ("event", "label") if column in outcomes]:
        if same_partition(filled, outcomes[name]):
            return f"is filled in exactly where the {name} column has one of its values"
        if same_partition(cells[filled], outcomes[name][filled]):
            return f"is the {name} column under another name"
    if "time_months" not in outcomes:
        return None
    numbers = [as_number(text) for text in cells[filled]]
    values = np.array([np.nan if value is None else value for value in numbers])
    with np.errstate(all="ignore"):  # words, constants and overflows give NaN: no correlation
        correlation = np.corrcoef(values, outcomes["time_months"][filled])[0, 1]
    if abs(correlation) > COPY_CORRELATION:
        return "is the time column under another name or in another unit"
    return None


def same_partition(labels: pd.Series, event: pd.Series[int]) -> bool:
    """Whether labels divide the rows exactly as event and censored, or the classes, do."""
    pairs = set(zip(labels, event, strict=True))
    return len(pairs) == labels.nunique() == event.nunique() >= 2
