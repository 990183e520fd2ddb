"""Everything that people read of new patients: pages, documents, and sheets for the patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.reporting.language import language_of
from survfuse.reporting.new_patients import pdf
from survfuse.reporting.new_patients.content import Record
from survfuse.reporting.new_patients.documents import write_documents
from survfuse.reporting.new_patients.images import NewPicture
from survfuse.reporting.new_patients.pages import write_pages
from survfuse.reporting.new_patients.style import Style


def write_reports(
    records: Sequence[Record],
    folder: NewPatientsFolder,
    style: Style,
    pictures: Mapping[str, Sequence[NewPicture]] | None = None,
) -> None:
    """Write what people read, of records that lie in the folder already.

    pictures: of the volumes of each patient, where there are any; every number is of the records.
    Raises WordingError, before anything of a patient is written, where a page breaks the rules of
    wording.
    """
    language = language_of(style.language)
    for record in records:  # those of an earlier run, which tell of another estimate
        for path in folder.documents_of(record["patient_id"]):
            path.unlink(missing_ok=True)
    documents = style.documents and pdf.can_write()
    shown = pictures or {}
    write_pages(records, folder, language, documents, shown)
    if style.documents:
        write_documents(records, folder, language, style.paper, documents, shown)
