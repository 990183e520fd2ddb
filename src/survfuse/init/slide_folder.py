"""A folder of slides as a slide sheet: whose a file is, by the start of its name."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

SLIDES = {".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide"}
EMBEDDINGS = {".h5", ".hdf5"}


@dataclass(frozen=True)
class FoundSlide:
    """A file, and whose it is; `features`: it holds embeddings instead of an image."""

    slide_id: str
    patient_id: str
    path: Path
    features: bool


def find_slides(folder: Path, patient_ids: Collection[str]) -> tuple[list[FoundSlide], list[Path]]:
    """The slides of a folder and all folders in it, and the files that belong to no patient.

    Ids are made of the patient's id and a number, because file names often hold names or record
    numbers. Embeddings are taken where there are no images.
    """
    files = list(files_of(folder))
    kept = [path for path in files if path.suffix.lower() in SLIDES]
    features = not kept
    if features:
        kept = [path for path in files if path.suffix.lower() in EMBEDDINGS]
    known = set(patient_ids)
    found, unmatched, counts = [], [], dict.fromkeys(known, 0)
    for path in kept:
        patient = owner_of(path.relative_to(folder), known)
        if patient is None:
            unmatched.append(path)
            continue
        counts[patient] += 1
        found.append(FoundSlide(f"{patient[:59]}_{counts[patient]}", patient, path, features))
    return found, unmatched


def files_of(folder: Path) -> Iterator[Path]:
    """All files below a folder that are not hidden, in the order of their paths."""
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                yield path


def owner_of(relative: Path, patient_ids: Collection[str]) -> str | None:
    """The patient of the longest id that the file name starts with, else that a folder is called.

    An id ends where letters and digits do: a file P10.svs is not of patient P1.
    """
    name = relative.name
    ends = [end for end in range(len(name), 0, -1) if end == len(name) or not name[end].isalnum()]
    starts = (name[:end] for end in ends)
    folders = reversed(relative.parts[:-1])
    return next((text for text in (*starts, *folders) if text in patient_ids), None)


def sheet_of(slides: Collection[FoundSlide]) -> str:
    """The text of slides.tsv, with absolute paths."""
    lines = ["slide_id\tpatient_id\tpath\tfeatures"]
    for slide in slides:
        path = str(slide.path)
        places = ("", path) if slide.features else (path, "")
        lines.append("\t".join((slide.slide_id, slide.patient_id, *places)))
    return "\n".join(lines) + "\n"
