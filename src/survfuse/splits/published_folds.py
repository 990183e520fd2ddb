"""Published folds: checking a table of patients and folds before it is used as it stands."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from survfuse.config.splits import SplitConfig
from survfuse.sheets.problems import Note, Problem, stop_if_any
from survfuse.sheets.similar_ids import hint
from survfuse.sheets.text_table import Sheet, cells_of, parse_sheet, read_sheet

REQUIRED = ("patient_id", "fold")
PART_COLUMNS = ("split", "Split", "set", "part", "role", "phase", "subset")
PARTS = {
    **dict.fromkeys(("train", "training", "inner"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tested", "holdout", "held_out"), "test"),
}


def parse_folds(path: Path) -> tuple[Sheet | None, list[Problem]]:
    """The table of folds as far as it can be read, and its problems.

    The table of a single fold, with a column of training and one of held-out patients, is
    distinguished from one of all folds.
    """
    sheet, problems = parse_sheet(path, REQUIRED)
    if sheet is None and problems:
        header, _ = parse_sheet(path, ["train"])
        held_out = [name for name in ("test", "val") if header and name in header.rows]
        if held_out:
            fault = f"is of one fold: its columns train and {held_out[0]} list patients"
            remedy = "write one table patient_id, fold: who is in the column "
            remedy += f"{held_out[0]} of the file of fold k gets fold k"
            return None, [Problem(str(path), 1, None, None, fault, remedy)]
    return sheet, problems


def read_published(path: Path, patient_ids: Collection[str], config: SplitConfig) -> pd.DataFrame:
    """Read and check a table of published folds; see `check_folds`. Raises SheetError."""
    folds, problems, _ = check_folds(read_sheet(path, REQUIRED), patient_ids, config)
    stop_if_any(problems)
    return folds


def check_folds(
    sheet: Sheet, patient_ids: Collection[str], config: SplitConfig
) -> tuple[pd.DataFrame, list[Problem], list[Note]]:
    """Published folds `patient_id, fold` (0, 1, ...), the problems of the table, and its notes.

    Every patient is tested exactly once; folds may be numbered from 0 or 1 and must be as many as
    `config.folds`. They are the first repeat; further ones are drawn. Rows of other patients are
    passed over, and where a column says which part of a fold a row is of, so are all that are not
    of the held-out part.
    """
    problems, notes = [], []
    sheet, held_out_notes = held_out_rows(sheet)
    notes += held_out_notes
    foreign = ~sheet.rows["patient_id"].isin(patient_ids)
    if foreign.any() and not foreign.all():
        alike = hint(sheet.rows.loc[foreign, "patient_id"].tolist(), patient_ids)
        sentence = "Rows of the folds that belong to no analysed patient and are ignored: "
        notes.append(Note(str(sheet.path), f"{sentence}{int(foreign.sum())}.", None, alike))
        sheet = Sheet(sheet.path, sheet.rows[~foreign])
    first_row: dict[str, int] = {}
    for row, patient in cells_of(sheet, "patient_id"):
        if (earlier := first_row.setdefault(patient, row)) != row:
            fault = f"repeats row {earlier}"
            remedy = "test every patient in one fold"
            problems.append(sheet.problem(row, "patient_id", fault, remedy))
    alike = hint(patient_ids, first_row)
    for patient in sorted(set(patient_ids) - set(first_row)):
        fault = "has no fold"
        remedy = "add the patient, or remove cohort.folds" + (f"; {alike}" if alike else "")
        problems.append(sheet.problem(None, "patient_id", fault, remedy, patient))
    return numbered(sheet, config, problems), problems, notes


def held_out_rows(sheet: Sheet) -> tuple[Sheet, list[Note]]:
    """The rows of held-out patients, where a column separates them from training patients.

    Where a fold has both, the test part is held out and the validation part is not.
    """
    for name in PART_COLUMNS:
        if name not in sheet.rows:
            continue
        part = sheet.rows[name].str.casefold().map(PARTS)
        if part.isna().any() or not part.isin(["test", "val"]).any():
            continue
        held_out = "test" if (part == "test").any() else "val"
        if (part == held_out).all():
            continue
        sentence = (
            f"The table of folds lists other parts of the folds too; patients are tested where "
            f"{name} is {held_out}, and the other {int((part != held_out).sum())} rows are ignored."
        )
        return Sheet(sheet.path, sheet.rows[part == held_out]), [Note(str(sheet.path), sentence)]
    return sheet, []


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
