"""Checking the slide sheet: who the slides belong to, and that their files may be opened."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from survfuse.cohort.problems import Problem
from survfuse.cohort.sheets import Sheet, as_number, cells_of, check_identifiers
from survfuse.config import CohortConfig
from survfuse.microscopy import PLAUSIBLE_MPP

REQUIRED = ("slide_id", "patient_id", "path")
COLUMNS = ("slide_id", "patient_id", "path", "mpp", "features")


def check_slides(
    sheet: Sheet, patient_ids: Collection[str], config: CohortConfig
) -> tuple[pd.DataFrame, list[Problem]]:
    """The slides with absolute paths, and the problems of the sheet.

    Returns a frame of text columns `slide_id, patient_id, path, mpp, features`, sorted by slide.
    """
    rows = sheet.rows.reindex(columns=list(COLUMNS), fill_value="")
    sheet = Sheet(sheet.path, rows)
    problems = check_identifiers(sheet, "slide_id")
    problems += check_owners(sheet, patient_ids)
    problems += check_mpp(sheet)
    roots = [Path(os.path.realpath(root)) for root in config.roots or [sheet.path.parent]]
    problems += check_roots(config.roots)
    for column in ("path", "features"):
        problems += check_files(sheet, column, roots)
    for row, path in cells_of(sheet, "path"):
        if not path and not rows.at[row, "features"]:
            remedy = "name the slide file, or its embeddings in the column features"
            problems.append(sheet.problem(row, "path", "is empty", remedy))
    slides = rows.assign(
        path=[absolute(sheet.path, text) for text in rows["path"]],
        features=[absolute(sheet.path, text) for text in rows["features"]],
    )
    return slides.sort_values("slide_id", ignore_index=True), problems


def check_owners(sheet: Sheet, patient_ids: Collection[str]) -> list[Problem]:
    """Problems of slides whose patient is not in the patient sheet."""
    known = set(patient_ids)
    problems = []
    for row, text in cells_of(sheet, "patient_id"):
        if text not in known:
            fault = "is not in the patient sheet" if text else "is empty"
            remedy = "add the patient there, correct the id, or remove the slide"
            problems.append(sheet.problem(row, "patient_id", fault, remedy))
    return problems


def check_mpp(sheet: Sheet) -> list[Problem]:
    """Problems of the declared pixel sizes; an empty cell means the slide's own is used."""
    low, high = PLAUSIBLE_MPP
    problems = []
    for row, text in cells_of(sheet, "mpp"):
        value = as_number(text)
        if text and (value is None or not low <= value <= high):
            fault = "is not a number" if value is None else "is not a plausible pixel size"
            remedy = f"write micrometres per pixel ({low:g} to {high:g}), or leave it empty"
            problems.append(sheet.problem(row, "mpp", fault, remedy, text))
    return problems


def check_roots(roots: Sequence[Path]) -> list[Problem]:
    """Problems of the configured directories for slides."""
    missing = [root for root in roots if not root.is_dir()]
    return [
        Problem("configuration", None, "cohort.roots", str(root), "is no directory", "correct it")
        for root in missing
    ]


def check_files(sheet: Sheet, column: str, roots: Sequence[Path]) -> list[Problem]:
    """Problems of a column of files: outside the roots, not there, listed twice.

    Links are followed first, so a link inside a root may not point out of it. File names are not
    shown, because they often hold names or accession numbers.
    """
    problems = []
    first_row: dict[str, int] = {}
    for row, text in cells_of(sheet, column):
        if not text:
            continue
        fault = None
        if not text.isprintable():
            fault = ("has unprintable characters", "correct the path")
        else:
            real = os.path.realpath(absolute(sheet.path, text))
            if not any(Path(real).is_relative_to(root) for root in roots):
                remedy = "move the file there, or add its directory to cohort.roots"
                fault = ("is outside the allowed directories", remedy)
            elif not os.path.isfile(real):  # noqa: PTH113 (False, not an error, for 10k characters)
                remedy = "correct the path; relative paths start at the sheet's directory"
                fault = ("file does not exist", remedy)
            elif (earlier := first_row.setdefault(real, row)) != row:
                fault = (f"is the same file as in row {earlier}", "list every file once")
        if fault:
            problems.append(sheet.problem(row, column, *fault))
    return problems


def absolute(sheet: Path, text: str) -> str:
    """The absolute path of a cell, relative to the directory of the sheet; "" stays ""."""
    return os.path.abspath(sheet.parent / text) if text else ""  # noqa: PTH100 (keeps links)
