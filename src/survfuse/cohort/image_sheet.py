"""Checking the image sheet: who the volumes belong to, and that their files may be opened."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from survfuse.cohort.problems import Problem
from survfuse.cohort.sheets import Sheet, cells_of, fault_of_identifier
from survfuse.cohort.slide_sheet import absolute, check_owners, check_roots
from survfuse.config import CohortConfig
from survfuse.config_imaging import MRI, PET

REQUIRED = ("patient_id", "visit", "modality", "path")
COLUMNS = (*REQUIRED, "mask", "reference", "registration")
FILES = ("path", "mask", "reference", "registration")
SHOWN_VISITS = 5  # that a problem lists
DETACHED = ".nhdr"  # a NRRD header; the file that it names is neither checked nor hashed
KEY = ["patient_id", "visit", "modality"]


def check_images(
    sheet: Sheet, patient_ids: Collection[str], config: CohortConfig
) -> tuple[pd.DataFrame, list[Problem]]:
    """The volumes with absolute paths, and the problems of the sheet.

    Returns a frame of the text columns COLUMNS, sorted by patient, visit and modality.
    """
    rows = sheet.rows.reindex(columns=list(COLUMNS), fill_value="")
    rows = rows.assign(modality=rows["modality"].str.lower())
    sheet = Sheet(sheet.path, rows)
    problems = check_owners(sheet, patient_ids)
    problems += check_visits(sheet)
    problems += check_modalities(sheet)
    problems += check_once(sheet)
    roots = [Path(os.path.realpath(root)) for root in config.roots or [sheet.path.parent]]
    problems += [] if config.slides else check_roots(config.roots)  # the slides told it already
    for column in FILES:
        problems += check_paths(sheet, column, roots)
    files = {name: [absolute(sheet.path, text) for text in rows[name]] for name in FILES}
    return rows.assign(**files).sort_values(KEY, ignore_index=True), problems


def read_by_models(images: pd.DataFrame, visit: str | None) -> pd.DataFrame:
    """The rows at `imaging.visit`, by default at each patient's first in alphabetical order."""
    first = images.groupby("patient_id")["visit"].transform("min")
    return images[images["visit"] == (visit or first)]


def check_visit_of_models(sheet: Sheet, visit: str | None) -> list[Problem]:
    """A problem where no volume is of the visit that models shall read."""
    named = sorted(set(sheet.rows["visit"]))
    if visit is None or visit in named:
        return []
    shown = ", ".join(named[:SHOWN_VISITS]) + (", ..." if len(named) > SHOWN_VISITS else "")
    fault = f"no row of {sheet.path.name} has the visit {visit!r}"
    remedy = f"name one of its visits ({shown}), or leave it out to read each patient's first"
    return [Problem("configuration", None, "imaging.visit", None, fault, remedy)]


def check_visits(sheet: Sheet) -> list[Problem]:
    """Problems of the names of visits, which become names of directories."""
    remedy = "use up to 64 letters, digits, _ and -, e.g. m00, m24; not a date"
    return [
        sheet.problem(row, "visit", fault if text else "is empty", remedy)
        for row, text in cells_of(sheet, "visit")
        if (fault := fault_of_identifier(text))
    ]


def check_modalities(sheet: Sheet) -> list[Problem]:
    """Problems of the column modality; upper and lower case are the same."""
    remedy = f"MRI is one of {', '.join(MRI)}; PET one of {', '.join(PET)}"
    return [
        sheet.problem(row, "modality", "is not a known modality", remedy, text)
        for row, text in cells_of(sheet, "modality")
        if text not in (*MRI, *PET)
    ]


def check_once(sheet: Sheet) -> list[Problem]:
    """Problems of rows with the patient, visit and modality of another; case does not count."""
    problems = []
    first_row: dict[tuple[str, ...], int] = {}
    for row, *key in sheet.rows[KEY].itertuples():
        earlier = first_row.setdefault(tuple(str(part).casefold() for part in key), row)
        if earlier != row:
            fault = f"repeats patient, visit and modality of row {earlier}"
            remedy = "keep the better scan, or give one of them another visit"
            problems.append(sheet.problem(row, "modality", fault, remedy))
    return problems


def check_paths(sheet: Sheet, column: str, roots: list[Path]) -> list[Problem]:
    """Problems of a column of files or, for volumes, folders of DICOM slices.

    As in the slide sheet: links are followed first, and file names are not shown.
    """
    problems = []
    first_row: dict[str, int] = {}
    for row, text in cells_of(sheet, column):
        fault = None
        if not text:
            if column == "path":
                fault = ("is empty", "name the file, or the folder of DICOM slices")
        elif not text.isprintable():
            fault = ("has unprintable characters", "correct the path")
        else:
            real = os.path.realpath(absolute(sheet.path, text))
            there = os.path.isfile(real) or (column == "path" and os.path.isdir(real))  # noqa: PTH112, PTH113 (False, not an error, for 10k characters)
            if not any(Path(real).is_relative_to(root) for root in roots):
                remedy = "move the file there, or add its directory to cohort.roots"
                fault = ("is outside the allowed directories", remedy)
            elif column != "registration" and real.lower().endswith(DETACHED):
                remedy = "save header and voxels in one .nrrd file, or convert it to NIfTI"
                fault = ("keeps its voxels in another file", remedy)
            elif not there:
                remedy = "correct the path; relative paths start at the sheet's directory"
                fault = ("file does not exist", remedy)
            elif column == "path" and (earlier := first_row.setdefault(real, row)) != row:
                fault = (f"is the same file as in row {earlier}", "list every volume once")
        if fault:
            problems.append(sheet.problem(row, column, *fault))
    return problems
