"""The documents of new patients: reports as PDF with the record in them, and sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.files import write_bytes, write_text
from survfuse.core.messages import marked
from survfuse.reporting.language import Language
from survfuse.reporting.new_patients import pdf
from survfuse.reporting.new_patients.content import Record, Room, content
from survfuse.reporting.new_patients.images import NONE, NewPicture, images
from survfuse.reporting.new_patients.sheet import sheet_of
from survfuse.reporting.new_patients.templates import render
from survfuse.reporting.render import require_wording

# What stands on the first page, which has to hold all of it: the first that fits.
ROOMS = (
    Room(flags=4, contributions=6),
    Room(flags=2, contributions=3),
    Room(flags=1, contributions=0, dense=True),
)
ATTACHED = marked("The record of the prediction, of which this document is made")
DETAILS = "details"  # the anchor at which the next pages begin


def write_documents(
    records: Sequence[Record],
    folder: NewPatientsFolder,
    language: Language,
    paper: str,
    as_pdf: bool = True,
    pictures: Mapping[str, Sequence[NewPicture]] = NONE,
) -> None:
    """Write the report of each patient as PDF, and the sheet for the patient as page and as PDF.

    Records are attached as `folder` has them. as_pdf: false where `pdf.can_write` says no, so that
    sheets are pages alone. Raises WordingError, before anything of a patient is written.
    """
    printing = pdf.printing_on(paper) if as_pdf else None
    for record in records:
        patient, own = record["patient_id"], [record["label"]]
        page = sheet_of(record, language)
        require_wording(folder.sheet_page(patient), page, own, language.code)
        write_text(folder.sheet_page(patient), page)
        if printing:
            attached = folder.prediction(patient).read_bytes()
            shown = pictures.get(patient, ())
            report = document_of(record, attached, language, printing, shown)
            write_bytes(folder.document(patient), report)
            write_bytes(
                folder.sheet_document(patient), sheet_document_of(record, language, printing)
            )


def document_of(
    record: Record,
    attached: bytes,
    language: Language,
    printing: pdf.Printing,
    pictures: Sequence[NewPicture] = (),
) -> bytes:
    """The report as PDF/A-3b. `attached`: the record as JSON; equal input gives equal bytes."""
    for room in ROOMS:
        shown = {"images": images(pictures, language), "document": True}
        context = {**content(record, language, room), **shown}
        html = render("page.html.j2", language, context)
        document = pdf.laid_out(html, printing)
        if DETAILS in document.pages[1].anchors:
            break
    name = f"{record['patient_id']}.json"
    held = pdf.Attached(name, attached, language.gettext(ATTACHED))
    return pdf.to_pdf(document, date.fromisoformat(record["predicted_on"]), held)


def sheet_document_of(record: Record, language: Language, printing: pdf.Printing) -> bytes:
    """The sheet as PDF/A-3b."""
    document = pdf.laid_out(sheet_of(record, language, document=True), printing)
    return pdf.to_pdf(document, date.fromisoformat(record["predicted_on"]))
