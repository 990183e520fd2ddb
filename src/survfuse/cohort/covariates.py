"""Checking the site and covariate columns: typing, and no outcome in disguise."""

from __future__ import annotations

import math

import pandas as pd

from survfuse.config.cohort import CohortConfig, Covariate
from survfuse.sheets.leaks import leak_of_cells
from survfuse.sheets.problems import Problem
from survfuse.sheets.text_table import Sheet, as_number, cells_of, fault_of_text
from survfuse.tasks.loading import task_of


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
    if name in task_of(config).outcome_columns(config):
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
            alike = [level for level in covariate.levels if plain(level) == plain(text)]
            if alike:
                return "is not a level", f"write {alike[0]!r}"
            levels = ", ".join(covariate.levels)
            return "is not a level", f"use one of: {levels}; leave unknown values empty"
    elif fault := fault_of_text(text):
        return fault, f"use short labels of printable characters in {covariate.type} columns"
    return None


def plain(level: str) -> str:
    """A level without case and blanks, a number without trailing zeros."""
    number = as_number(level)
    return "".join(level.split()).casefold() if number is None else f"{number:g}"


def check_leaks(sheet: Sheet, outcomes: pd.DataFrame, config: CohortConfig) -> list[Problem]:
    """Problems of inputs that repeat the outcome under another name.

    `outcomes` is indexed like the sheet, without the rows whose outcome has a problem.
    """
    columns = list(config.covariates) + ([config.site] if config.site else [])
    remedy = "remove it: a model must not read the outcome"
    return [
        sheet.problem(None, name, clause, remedy)
        for name in dict.fromkeys(columns)
        if not reserved_name(name, config)
        and (clause := leak_of_cells(sheet.rows.loc[outcomes.index, name].tolist(), outcomes))
    ]
