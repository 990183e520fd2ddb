"""The files of a run that a person can look at or take away, by the address they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.errors import MissingResourceError
from survfuse.core.files import read_object
from survfuse.exchange.optional import required
from survfuse.serve.runs import Run

FHIR = "fhir"  # a kind that is made when it is asked for


@dataclass(frozen=True)
class Document:
    """A kind of file. path: of a patient. of_all: of all patients together, if there is one."""

    label: str
    media_type: str
    path: Callable[[NewPatientsFolder, str], Path]
    of_all: Callable[[NewPatientsFolder], Path] | None = None
    shown: bool = False  # as a page, and not as a download

    @property
    def made(self) -> bool:
        """Whether it is made of the record when it is asked for."""
        return self is DOCUMENTS[FHIR]


# By the second part of their address: /runs/RUN/KIND/NAME, so that links between pages hold.
DOCUMENTS: Mapping[str, Document] = {
    "reports": Document(
        "Report", "text/html", NewPatientsFolder.page, lambda folder: folder.index, shown=True
    ),
    "documents": Document("PDF", "application/pdf", NewPatientsFolder.document),
    "predictions": Document(
        "JSON", "application/json", NewPatientsFolder.prediction, lambda folder: folder.table
    ),
    FHIR: Document("FHIR R4", "application/fhir+json", NewPatientsFolder.prediction),
}


def files_of(run: Run, patients: Sequence[str], kind: str) -> dict[str, Path]:
    """The files of a kind that are there, by the name in their address."""
    document = DOCUMENTS[kind]
    if document.made and not can_make_fhir():
        return {}
    paths = [document.path(run.results, patient) for patient in patients]
    if document.of_all is not None:
        paths.append(document.of_all(run.results))
    return {path.name: path for path in paths if path.is_file()}


def links_of(run: Run, patient: str) -> dict[str, str]:
    """The files of a patient that can be taken away: address by label."""
    return {
        document.label: f"/runs/{run.name}/{kind}/{name}"
        for kind, document in DOCUMENTS.items()
        for name in [document.path(run.results, patient).name]
        if name in files_of(run, [patient], kind)
    }


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
