"""Reading a table of features of patients, and looking for what must not be among them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from survfuse.artifacts.outcome_columns import columns_of
from survfuse.sheets.leaks import leaks_of_numbers
from survfuse.sheets.owners import check_owners
from survfuse.sheets.problems import Problem, SheetError
from survfuse.sheets.text_table import Sheet, check_unique, numbers, read_sheet

ID = "patient_id"
REMEDY = "remove it: a model must not read the outcome"


def read_feature_table(path: Path, patient_ids: Collection[str] | None) -> Sheet:
    """The table as text, one row for each patient. `patient_ids`: of the patient sheet, if known.

    Raises SheetError where it cannot be read, has no feature, or holds a row of somebody else.
    """
    sheet = read_sheet(path, [ID])
    problems = [*check_unique(sheet, ID), *check_owners(sheet, patient_ids)]
    if len(sheet.rows.columns) == 1:
        remedy = "add a column for each feature"
        problems.append(sheet.problem(None, None, "has no column besides patient_id", remedy))
    if problems:
        raise SheetError(problems)
    return sheet


def features_of(sheet: Sheet) -> pd.DataFrame:
    """Features as float64, NaN = missing, indexed by patient id and sorted; without empty rows.

    Raises SheetError where a cell is not a finite number.
    """
    names = [name for name in sheet.rows.columns if name != ID]
    values = numbers(sheet, names)
    values.index = pd.Index(sheet.rows[ID], name=ID)
    return values.dropna(how="all").sort_index()


def check_feature_leaks(
    sheet: Sheet, features: pd.DataFrame, outcomes: pd.DataFrame
) -> list[Problem]:
    """Problems of columns that give the outcome away. outcomes: indexed by patient id."""
    known = outcomes[~outcomes.index.duplicated(keep=False)]
    known = known[columns_of(known).sound(known)]
    shared = features.index.intersection(known.index)
    found = leaks_of_numbers(features.loc[shared].to_numpy(), known.loc[shared])
    return [
        sheet.problem(None, str(features.columns[position]), clause, REMEDY)
        for position, clause in found.items()
    ]
