"""Published folds: checking a table of patients and folds before it is used as it stands."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from survfuse.cohort.problems import Problem, stop_if_any
from survfuse.cohort.sheets import Sheet, cells_of, read_sheet
from survfuse.config import SplitConfig

REQUIRED = ("patient_id", "fold")


def read_published(path: Path, patient_ids: Collection[str], config: SplitConfig) -> pd.DataFrame:
    """Read and check a table of published folds; see `check_folds`. Raises SheetError."""
    folds, problems = check_folds(read_sheet(path, REQUIRED), patient_ids, config)
    stop_if_any(problems)
    return folds


def check_folds(
    sheet: Sheet, patient_ids: Collection[str], config: SplitConfig
) -> tuple[pd.DataFrame, list[Problem]]:
    """Published folds as a frame `patient_id, fold` (0, 1, ...), and the problems of the table.

    Every patient is tested exactly once; folds may be numbered from 0 or 1 and must be as many as
    `config.folds`, with a single repeat.
    """
    problems = []
    first_row: dict[str, int] = {}
    for row, patient in cells_of(sheet, "patient_id"):
        if patient not in patient_ids:
            fault = "is not in the patient sheet"
            problems.append(sheet.problem(row, "patient_id", fault, "remove the row"))
        elif (earlier := first_row.setdefault(patient, row)) != row:
            fault = f"repeats row {earlier}"
            remedy = "test every patient in one fold"
            problems.append(sheet.problem(row, "patient_id", fault, remedy))
    for patient in sorted(set(patient_ids) - set(first_row)):
        fault = "has no fold"
        remedy = "add the patient, or remove cohort.folds"
        problems.append(sheet.problem(None, "patient_id", fault, remedy, patient))
    if config.repeats > 1:
        remedy = "set splits.repeats to 1, or remove cohort.folds"
        problems.append(sheet.problem(None, "fold", "published folds have one repeat", remedy))
    return numbered(sheet, config, problems), problems


def numbered(sheet: Sheet, config: SplitConfig, problems: list[Problem]) -> pd.DataFrame:
    """Folds as numbers from 0; appends to `problems` where that cannot be done."""
    wrong = [(row, text) for row, text in cells_of(sheet, "fold") if not is_count(text)]
    for row, text in wrong:
        remedy = "number the folds 0, 1, 2, ..."
        problems.append(sheet.problem(row, "fold", "is not a whole number", remedy, text))
    if wrong:
        return pd.DataFrame({"patient_id": [], "fold": []})
    fold = sheet.rows["fold"].astype(float).astype(int)
    first = min(fold.min(), 1)
    if sorted(set(fold)) != list(range(first, first + config.folds)):
        found = ", ".join(str(value) for value in sorted(set(fold))[:10])
        fault = f"has the folds {found}, not {config.folds} consecutive ones"
        remedy = "correct the numbers, or set splits.folds"
        problems.append(sheet.problem(None, "fold", fault, remedy))
    return pd.DataFrame({"patient_id": sheet.rows["patient_id"], "fold": fold - first})


def is_count(text: str) -> bool:
    """Whether a cell holds a small whole number, such as 3 or 3.0."""
    whole = text.removesuffix(".0")
    return whole.isascii() and whole.isdigit() and len(whole) < 4
