"""Checking the paths of a sheet: how they are written, where they lead, and what is there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from survfuse.config.cohort import CohortConfig
from survfuse.core.accents import composed
from survfuse.core.brought_files import UnusableFileError, pointer_to_content, require_regular
from survfuse.sheets.problems import Problem
from survfuse.sheets.text_table import Sheet, cells_of

Fault = tuple[str, str]  # what is wrong, and the remedy

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.*")
DRIVE = re.compile(r"[A-Za-z]:[\\/].*")
VARIABLE = re.compile(r"\$\{?[A-Za-z_]|%[A-Za-z_]+%")
IN_FULL = "write the path as it is on this machine, in full or relative to the sheet's directory"


def allowed_roots(sheet: Path, config: CohortConfig) -> list[Path]:
    """The directories that the files of a sheet may lie in, links followed."""
    return [Path(os.path.realpath(root)) for root in config.roots or [sheet.parent]]


def check_roots(roots: Sequence[Path]) -> list[Problem]:
    """Problems of the configured directories for slides and volumes."""
    missing = [root for root in roots if not root.is_dir()]
    return [
        Problem("configuration", None, "cohort.roots", str(root), "is no directory", "correct it")
        for root in missing
    ]


def faults_of_paths(
    sheet: Sheet, column: str, roots: Sequence[Path], folder: str, folders_allowed: bool = False
) -> Iterator[tuple[int, str, Fault | None]]:
    """Row, path with links followed, and fault (or None) of every filled cell of a column.

    folder: the remedy where a path leads to a folder. File names are in no fault, because they
    often hold names or accession numbers.
    """
    for row, text in cells_of(sheet, column):
        if not text:
            continue
        if fault := fault_of_spelling(text):
            there = text.isprintable() and os.path.lexists(absolute(sheet.path, text))
            if not there or "~" in text[:1]:
                yield row, "", fault
                continue
        given = absolute(sheet.path, text)
        real = os.path.realpath(given)
        if not any(Path(real).is_relative_to(root) for root in roots):
            led = ", where its link leads" if os.path.normpath(given) != real else ""
            remedy = "move the file there, or add its directory to cohort.roots"
            yield row, real, (f"is outside the allowed directories{led}", remedy)
        elif folders_allowed and os.path.isdir(real):  # noqa: PTH112 (False, not an error, for 10k characters)
            yield row, real, None
        else:
            yield row, real, fault_of_content(given) or fault_of_file(Path(real), folder)


def fault_of_spelling(text: str) -> Fault | None:
    """What keeps a text from being a path of this machine, or None."""
    if not text.isprintable():
        return "has unprintable characters", "correct the path"
    if text[0] in "'\"" or text[-1] in "'\"":
        return "has quotes around it", "remove the quotes"
    if URL.fullmatch(text):
        return "is an address, not a file", "copy the file here, and name its path"
    if DRIVE.fullmatch(text):
        return "starts with the letter of a drive", f"{IN_FULL}, with / between folders"
    if "\\" in text:
        return "has backslashes", "write / between folders"
    if text.startswith("~"):
        return "starts with ~, which is not replaced", f"{IN_FULL}, instead of ~"
    if VARIABLE.search(text):
        return "has a variable, which is not replaced", IN_FULL
    return None


def fault_of_content(given: str) -> Fault | None:
    """That a path leads to a pointer in place of the content, or None. Links are not followed."""
    try:
        return pointer_to_content(Path(given))
    except OSError:  # which `fault_of_file` tells
        return None


def fault_of_file(path: Path, folder: str) -> Fault | None:
    """What keeps a file from being opened, or None. Nothing is read of it."""
    try:
        require_regular(path)
    except UnusableFileError as error:
        is_folder = os.path.isdir(path)  # noqa: PTH112 (False, not an error, for 10k characters)
        return ("is a folder", folder) if is_folder else (str(error), "name a regular file")
    except PermissionError:
        return "may not be read", "ask its owner for the permission to read it"
    except OSError:
        remedy = "correct the path; relative paths start at the sheet's directory"
        if alike(path.name) in names_in(path.parent):
            remedy = (
                "mind upper and lower case, and accents, which macOS stores as characters of their "
                "own: a file there differs in nothing else"
            )
        return "file does not exist", remedy
    if not os.access(path, os.R_OK):
        return "may not be read", "ask its owner for the permission to read it"
    return None


@lru_cache(maxsize=64)
def names_in(folder: Path) -> frozenset[str]:
    """What lies in a folder, as `alike` writes it; nothing where it cannot be listed."""
    try:
        return frozenset(alike(file.name) for file in folder.iterdir())
    except OSError:
        return frozenset()


def alike(name: str) -> str:
    """A name without case, and with accents as part of their letters."""
    return composed(name).casefold()


def absolute(sheet: Path, text: str) -> str:
    """The absolute path of a cell, relative to the directory of the sheet; "" stays ""."""
    return os.path.abspath(sheet.parent / text) if text else ""  # noqa: PTH100 (keeps links)
