"""Everything that people read of new patients: pages, documents, and sheets for the patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.reporting.language import SOURCE, language_of
from survfuse.reporting.new_patients import pdf
from survfuse.reporting.new_patients.content import Record
from survfuse.reporting.new_patients.documents import write_documents
from survfuse.reporting.new_patients.pages import write_pages


@dataclass(frozen=True)
class Style:
    """How it is written. paper: of `pdf.PAPERS`. documents: whether any are written."""

    language: str = SOURCE
    paper: str = next(iter(pdf.PAPERS))
    documents: bool = True


def write_reports(records: Sequence[Record], folder: NewPatientsFolder, style: Style) -> None:
    """Write what people read, of records that lie in the folder already.

    Raises UserInputError for an unknown language, and WordingError, before anything of a patient is
    written, where a page breaks the rules of wording.
    """
    language = language_of(style.language)
    documents = style.documents and pdf.can_write()
    write_pages(records, folder, language, documents)
    if style.documents:
        write_documents(records, folder, language, style.paper, documents)
