"""Checking the image sheet: who the volumes belong to, and that their files may be opened."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from survfuse.config.cohort import CohortConfig
from survfuse.config.imaging import IMAGES, MRI, PET
from survfuse.modalities.volumes.visits import first_visit, visit_order
from survfuse.sheets.owners import check_owners
from survfuse.sheets.paths import absolute, allowed_roots, check_roots, faults_of_paths
from survfuse.sheets.problems import Note, Problem, counted
from survfuse.sheets.text_table import Sheet, cells_of, fault_of_identifier

REQUIRED = ("patient_id", "visit", "modality", "path")
COLUMNS = (*REQUIRED, "mask", "reference", "registration")
FILES = ("path", "mask", "reference", "registration")
SHOWN_VISITS = 5  # that a problem lists
NAMES = {"mri": "MRI", "pet": "PET"}
DETACHED = ".nhdr"  # a NRRD header; the file that it names is neither checked nor hashed
KEY = ["patient_id", "visit", "modality"]


def check_images(
    sheet: Sheet, patient_ids: Collection[str] | None, config: CohortConfig
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
    roots = allowed_roots(sheet.path, config)
    problems += [] if config.slides else check_roots(config.roots)  # the slides told it already
    for column in FILES:
        problems += check_paths(sheet, column, roots)
    files = {name: [absolute(sheet.path, text) for text in rows[name]] for name in FILES}
    return rows.assign(**files).sort_values(KEY, ignore_index=True), problems


def read_by_models(images: pd.DataFrame, visit: str | None) -> pd.DataFrame:
    """The rows at `imaging.visit`, by default at each patient's first (`visit_order`)."""
    first = images.groupby("patient_id")["visit"].agg(first_visit)
    return images[images["visit"] == (visit or images["patient_id"].map(first))]


def check_visit_of_models(sheet: Sheet, visit: str | None) -> list[Problem]:
    """A problem where no volume is of the visit that models shall read."""
    named = sorted(set(sheet.rows["visit"]), key=visit_order)
    if visit is None or visit in named:
        return []
    shown = ", ".join(named[:SHOWN_VISITS]) + (", ..." if len(named) > SHOWN_VISITS else "")
    fault = f"no row of {sheet.path.name} has the visit {visit!r}"
    remedy = f"name one of its visits ({shown}), or leave it out to read each patient's first"
    return [Problem("configuration", None, "imaging.visit", None, fault, remedy)]


def check_read_visits(
    sheet: Sheet, images: pd.DataFrame, visit: str | None, read: Collection[str]
) -> tuple[list[Problem], list[Note]]:
    """Problems and notes of the visits that models read.

    images: the volumes of the sheet. read: modalities that rows of the leaderboard read; that
    nobody has one of them at the visit that is read is a problem.
    """
    at_visit = read_by_models(images, visit)
    problems, notes = [], []
    several = images.groupby("patient_id")["visit"].nunique() > 1
    if visit is None and several.any():
        counts = at_visit.groupby("visit")["patient_id"].nunique()
        named = sorted(counts.index, key=visit_order)[:SHOWN_VISITS]
        more = ", ..." if len(counts) > SHOWN_VISITS else ""
        sentence = "Patients have volumes of several visits, and models read those of the first: "
        sentence += f"{', '.join(named)}{more}."
        read_at = ", ".join(f"{name} of {counted(int(counts[name]), 'patient')}" for name in named)
        example = f"{counted(int(several.sum()), 'patient')} with several; read are {read_at}{more}"
        notes.append(Note(str(sheet.path), sentence, example, "name one in imaging.visit"))
    for kind, modalities in IMAGES.items():
        if at_visit["modality"].isin(modalities).any():
            continue
        elsewhere = set(images.loc[images["modality"].isin(modalities), "visit"])
        if not elsewhere:
            continue
        shown = ", ".join(sorted(elsewhere, key=visit_order)[:SHOWN_VISITS])
        fault = f"nobody has {NAMES[kind]} at the visit that models read"
        remedy = f"name another visit in imaging.visit; {NAMES[kind]} is of {shown}"
        if kind in read:
            problems.append(Problem("configuration", None, "imaging.visit", visit, fault, remedy))
        else:
            sentence = fault[0].upper() + fault[1:] + "."
            notes.append(Note(str(sheet.path), sentence, None, remedy))
    return problems, notes


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
    if column == "path":
        remedy = "name the file, or the folder of DICOM slices"
        problems += [
            sheet.problem(row, column, "is empty", remedy)
            for row, text in cells_of(sheet, column)
            if not text
        ]
    first_row: dict[str, int] = {}
    folder = "name the file in it"
    for row, real, fault in faults_of_paths(sheet, column, roots, folder, column == "path"):
        if not fault and column == "path" and has_links_out(real, roots):
            remedy = "copy the slices into the folder, or add their directory to cohort.roots"
            fault = ("holds links to files outside the allowed directories", remedy)
        elif not fault and column != "registration" and real.lower().endswith(DETACHED):
            remedy = "save header and voxels in one .nrrd file, or convert it to NIfTI"
            fault = ("keeps its voxels in another file", remedy)
        elif not fault and column == "path" and (earlier := first_row.setdefault(real, row)) != row:
            fault = (f"is the same file as in row {earlier}", "list every volume once")
        if fault:
            problems.append(sheet.problem(row, column, *fault))
    return problems


def has_links_out(folder: str, roots: list[Path]) -> bool:
    """Whether an entry of a folder is a link to outside the allowed directories."""
    try:
        with os.scandir(folder) as entries:
            ends = [os.path.realpath(entry.path) for entry in entries if entry.is_symlink()]
    except OSError:  # a file, or nothing
        return False
    return not all(any(Path(end).is_relative_to(root) for root in roots) for end in ends)
