"""The files of a run that a person can look at or take away, by the address they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.errors import MissingResourceError
from survfuse.core.files import read_object
from survfuse.exchange.optional import required
from survfuse.serve.runs import Run


@dataclass(frozen=True)
class Document:
    """A file of a patient. kind: the folder that it lies in, so that links between pages hold.

    shown: as a page, and not as a download. made: of the file when it is asked for, which then lies
    elsewhere.
    """

    kind: str
    label: str
    media_type: str
    path: Callable[[NewPatientsFolder, str], Path]
    shown: bool = False
    made: bool = False


OF_PATIENT = (
    Document("reports", "Report", "text/html", NewPatientsFolder.page, shown=True),
    Document("documents", "Report as PDF", "application/pdf", NewPatientsFolder.document),
    Document(
        *("patient_sheets", "Sheet for the patient", "text/html", NewPatientsFolder.sheet_page),
        shown=True,
    ),
    Document("patient_sheets", "Sheet as PDF", "application/pdf", NewPatientsFolder.sheet_document),
    Document("predictions", "JSON", "application/json", NewPatientsFolder.prediction),
    Document("fhir", "FHIR", "application/fhir+json", NewPatientsFolder.prediction, made=True),
)
OF_ALL = (
    Document("reports", "All reports", "text/html", lambda folder, _: folder.index, shown=True),
    Document(
        *("predictions", "Table of all", "text/tab-separated-values"),
        lambda folder, _: folder.table,
    ),
)


@dataclass(frozen=True)
class Offered:
    """A document that is there."""

    document: Document
    path: Path
    address: str

    @property
    def label(self) -> str:
        return self.document.label


def offered_of(run: Run, patient: str) -> list[Offered]:
    """What there is of a patient."""
    return offered(run, patient, [one for one in OF_PATIENT if not one.made or can_make_fhir()])


def offered_of_all(run: Run) -> list[Offered]:
    """What there is of all patients together."""
    return offered(run, "", OF_ALL)


def offered(run: Run, patient: str, documents: Sequence[Document]) -> list[Offered]:
    """Those of the documents that are there."""
    found = ((one, one.path(run.results, patient)) for one in documents)
    return [
        Offered(one, path, f"/runs/{run.name}/{one.kind}/{path.name}")
        for one, path in found
        if path.is_file()
    ]


def find_document(run: Run, patients: Sequence[str], address: str) -> Offered | None:
    """What has an address, which is compared with those that there are and with nothing else."""
    there = [*offered_of_all(run), *(one for who in patients for one in offered_of(run, who))]
    return next((one for one in there if one.address == address), None)


def can_make_fhir() -> bool:
    """Whether the library for it is installed."""
    try:
        required("fhir.resources", "exchange")
    except MissingResourceError:
        return False
    return True


def fhir_bundle(record: Path, document: Path) -> dict[str, Any]:
    """The bundle of a patient, with the document in it if there is one."""
    from survfuse.exchange.fhir import bundle_of

    return bundle_of(read_object(record), document.read_bytes() if document.is_file() else None)
