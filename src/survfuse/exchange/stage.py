"""Exports of the predictions that `survfuse predict` wrote, in every form that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_object, write_bytes, write_json
from survfuse.deployment.record import SCHEMA
from survfuse.exchange import dicom, fhir, hl7
from survfuse.exchange.identity import Identity, identities

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """A patient: the record of the prediction, the page if there is one, and who it is."""

    record: Mapping[str, Any]
    pdf: bytes | None
    identity: Identity

    def path(self, out: Path, form: str, ending: str) -> Path:
        """Where a form of export lies; file names carry the pseudonym whatever the identity."""
        return out / form / f"{self.record['patient_id']}{ending}"


def write_fhir(patient: Exported, out: Path) -> list[Path]:
    """A bundle."""
    path = patient.path(out, "fhir", ".json")
    write_json(path, fhir.bundle_of(patient.record, patient.pdf, patient.identity))
    return [path]


def write_hl7(patient: Exported, out: Path) -> list[Path]:
    """A message."""
    path = patient.path(out, "hl7", ".hl7")
    write_bytes(path, hl7.message_of(patient.record, patient.pdf, patient.identity))
    return [path]


def write_dicom(patient: Exported, out: Path) -> list[Path]:
    """The page and the report that names it; nothing where there is no page."""
    record, identity = patient.record, patient.identity
    if patient.pdf is None:
        log.warning(
            "%s: has no PDF, so there is nothing for DICOM; predict again where WeasyPrint and "
            "Pango are installed",
            record["patient_id"],
        )
        return []
    page, report = (patient.path(out, "dicom", f".{name}.dcm") for name in ("page", "report"))
    write_bytes(page, dicom.document_of(record, patient.pdf, identity))
    write_bytes(report, dicom.report_of(record, identity))
    return [page, report]


FORMATS: Mapping[str, Callable[[Exported, Path], list[Path]]] = {
    "fhir": write_fhir,
    "dicom": write_dicom,
    "hl7": write_hl7,
}


def export_predictions(
    predictions: Path,
    out: Path,
    formats: Sequence[str] = tuple(FORMATS),
    key_file: Path | None = None,
    with_identifiers: bool = False,
) -> list[Path]:
    """Export every patient of a folder of `survfuse predict`; returns the files that were written.

    Exports carry the patient_id of the sheets, taken to be a pseudonym. Only `with_identifiers`,
    and a `key_file` that is kept apart, put the identifiers of the hospital in its place. Raises
    UserInputError where there is nothing to export, and what `identity.identities` raises.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UserInputError(f"{unknown[0]}: is no format; known are {', '.join(FORMATS)}")
    folder = NewPatientsFolder(predictions)
    if with_identifiers and out.resolve().is_relative_to(predictions.resolve()):
        raise UserInputError(
            f"{out}: lies among the predictions, which are pseudonymous; name a folder elsewhere "
            "for exports with identifiers"
        )
    records = read_records(folder)
    known = identities(list(records), key_file, with_identifiers)
    written: list[Path] = []
    for patient, record in records.items():
        page = folder.document(patient)
        pdf = page.read_bytes() if page.is_file() else None
        for name in formats:
            written += FORMATS[name](Exported(record, pdf, known[patient]), out)
    return written


def read_records(folder: NewPatientsFolder) -> dict[str, dict[str, Any]]:
    """The records by patient. Raises UserInputError where there are none, or one is another's."""
    paths = sorted(folder.table.parent.glob("*.json"))
    if not paths:
        raise UserInputError(
            f"{folder.table.parent}: holds no predictions; name the folder that survfuse predict "
            "wrote"
        )
    found = {}
    for path in paths:
        record = read_object(path)
        if record.get("schema") != SCHEMA or record.get("patient_id") != path.stem:
            raise UserInputError(
                f"{path}: is no prediction of {path.stem} by this version of survfuse; predict "
                "again"
            )
        found[path.stem] = record
    return found
