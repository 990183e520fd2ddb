"""Checking the slide sheet: who the slides belong to, and that their files may be opened."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from survfuse.config.cohort import CohortConfig
from survfuse.modalities.slides.microscopy import PLAUSIBLE_MPP
from survfuse.sheets.owners import check_owners
from survfuse.sheets.paths import absolute, allowed_roots, check_roots, faults_of_paths
from survfuse.sheets.problems import Problem
from survfuse.sheets.text_table import Sheet, as_number, cells_of, check_identifiers

REQUIRED = ("slide_id", "patient_id", "path")
COLUMNS = ("slide_id", "patient_id", "path", "mpp", "features")
# The remedy where a path leads to a folder.
FOLDERS = {
    "path": "name one .dcm file in it (DICOM), or the .mrxs beside it (MIRAX)",
    "features": "name the file of this slide's embeddings in it",
}


def check_slides(
    sheet: Sheet, patient_ids: Collection[str] | None, config: CohortConfig
) -> tuple[pd.DataFrame, list[Problem]]:
    """The slides with absolute paths, and the problems of the sheet.

    Returns a frame of text columns `slide_id, patient_id, path, mpp, features`, sorted by slide.
    """
    rows = sheet.rows.reindex(columns=list(COLUMNS), fill_value="")
    sheet = Sheet(sheet.path, rows)
    problems = check_identifiers(sheet, "slide_id")
    problems += check_owners(sheet, patient_ids)
    problems += check_mpp(sheet)
    roots = allowed_roots(sheet.path, config)
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


def check_files(sheet: Sheet, column: str, roots: Sequence[Path]) -> list[Problem]:
    """Problems of a column of files: how they are written, outside the roots, not there, twice.

    Links are followed first, so a link inside a root may not point out of it.
    """
    problems = []
    first_row: dict[str, int] = {}
    for row, real, fault in faults_of_paths(sheet, column, roots, FOLDERS[column]):
        if not fault and (earlier := first_row.setdefault(real, row)) != row:
            fault = (f"is the same file as in row {earlier}", "list every file once")
        if fault:
            problems.append(sheet.problem(row, column, *fault))
    return problems
