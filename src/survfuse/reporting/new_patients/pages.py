"""The pages of new patients: one of each, and the list of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any

from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.files import write_text
from survfuse.core.messages import marked
from survfuse.reporting.language import Language
from survfuse.reporting.new_patients.content import (
    Record,
    case,
    content,
    headline,
    lacking,
    shared,
)
from survfuse.reporting.new_patients.images import NONE, NewPicture, images
from survfuse.reporting.new_patients.templates import render
from survfuse.reporting.render import require_wording

REPORT, SHEET = marked("report"), marked("sheet for the patient")


def write_pages(
    records: Sequence[Record],
    folder: NewPatientsFolder,
    language: Language,
    documents: bool,
    pictures: Mapping[str, Sequence[NewPicture]] = NONE,
) -> None:
    """Write a page of each patient, and the list of all, which links documents if there are any.

    Raises WordingError, before anything is written, where a page breaks the rules of wording.
    """
    made = {
        folder.page(record["patient_id"]): page_of(
            record, language, pictures.get(record["patient_id"], ())
        )
        for record in records
    }
    made[folder.index] = index_of(records, folder, language, documents)
    own = [record["label"] for record in records]
    for path, html in made.items():
        require_wording(path, html, own, language.code)
    for path, html in made.items():
        write_text(path, html)


def page_of(record: Record, language: Language, pictures: Sequence[NewPicture] = ()) -> str:
    """The page of one patient as HTML."""
    shown = {"images": images(pictures, language), "document": False}
    return render("page.html.j2", language, {**content(record, language), **shown})


def index_of(
    records: Sequence[Record], folder: NewPatientsFolder, language: Language, documents: bool
) -> str:
    """The list of all patients as HTML."""
    rows = [
        {
            "patient_id": record["patient_id"],
            "files": files_of(record["patient_id"], folder, language),
            "headline": headline(record["estimates"]),
            "case": case(record["estimates"]),
            "lacking": lacking(record, language),
            "flags": sum(one["flagged"] for one in record["remarks"]),
        }
        for record in records
    ]
    context = {**shared(records[0], language), "rows": rows, "documents": documents}
    return render("index.html.j2", language, context)


def files_of(patient: str, folder: NewPatientsFolder, language: Language) -> Mapping[str, Any]:
    """What the list of all patients links of one."""

    def link(path: Path) -> str:
        return Path(relpath(path, folder.index.parent)).as_posix()

    documents = [(REPORT, folder.document(patient)), (SHEET, folder.sheet_document(patient))]
    return {
        "page": link(folder.page(patient)),
        "documents": [(language.gettext(name), link(path)) for name, path in documents],
    }
