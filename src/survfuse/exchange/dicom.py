"""DICOM: the page of a patient as an Encapsulated PDF, and its numbers as a structured report.

Both are objects of a study of their own, with identifiers derived from the record, so that the same
prediction is the same object whenever it is written. The report follows TID 1500 (measurement
report); there is no standard code for the risk that a model estimates, so codes are of a private
scheme.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from survfuse.exchange.identity import Identity
from survfuse.exchange.optional import required
from survfuse.exchange.statements import (
    Record,
    Statement,
    method,
    notes,
    predicted_on,
    stable_uuid,
    statements,
)

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept, Measurement, MeasurementsAndQualitativeEvaluations
    from pydicom.dataset import Dataset

MANUFACTURER = "survfuse"
SCHEME = "99SURVFUSE"
MIDNIGHT = "000000"
TITLE = "Prediction by a statistical model, for research use only"
LONGEST_NAME = 64  # characters of LO and SH values are limited; PN components too


def uid(record: Record, what: str) -> str:
    """A unique identifier under 2.25, the root of UUIDs."""
    return f"2.25.{stable_uuid(record, what).int}"


def document_of(record: Record, pdf: bytes, identity: Identity | None = None) -> bytes:
    """An Encapsulated PDF file of the page of a patient."""
    found = shell(record, identity, "document")
    found.ConversionType = "WSD"  # made on a workstation
    found.BurnedInAnnotation = "YES"  # the identifier of the patient is on every page
    found.VerificationFlag = "UNVERIFIED"
    found.DocumentTitle = TITLE
    found.ConceptNameCodeSequence = []
    found.MIMETypeOfEncapsulatedDocument = "application/pdf"
    found.AcquisitionDateTime = found.ContentDate + MIDNIGHT
    found.EncapsulatedDocumentLength = len(pdf)
    found.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return written(found)


def shell(record: Record, identity: Identity | None, what: str) -> Dataset:
    """The patient, study, series and equipment of the Encapsulated PDF."""
    from pydicom.dataset import Dataset
    from pydicom.uid import EncapsulatedPDFStorage

    who, found = identity or Identity(record["patient_id"]), Dataset()
    day = predicted_on(record).strftime("%Y%m%d")
    found.SOPClassUID, found.SOPInstanceUID = EncapsulatedPDFStorage, uid(record, what)
    found.SpecificCharacterSet = "ISO_IR 192"
    found.PatientID = who.shown[:LONGEST_NAME]
    found.PatientName = name_of(who)
    found.PatientBirthDate = who.birth_date.replace("-", "")
    found.PatientSex = ""
    found.IssuerOfPatientID = who.authority[:LONGEST_NAME]
    found.StudyInstanceUID, found.SeriesInstanceUID = uid(record, "study"), uid(record, f"{what}s")
    found.StudyDate = found.SeriesDate = found.ContentDate = day
    found.StudyTime = found.SeriesTime = found.ContentTime = MIDNIGHT
    found.StudyID, found.AccessionNumber, found.ReferringPhysicianName = "", "", ""
    found.StudyDescription = TITLE
    found.SeriesDescription = f"{record['package']['name']}: {record['use']}"[:LONGEST_NAME]
    found.Modality, found.SeriesNumber, found.InstanceNumber = "DOC", 1, 1
    found.Manufacturer = MANUFACTURER
    found.ManufacturerModelName = record["package"]["name"][:LONGEST_NAME]
    found.SoftwareVersions = record["package"]["survfuse"]
    found.DeviceSerialNumber = record["package"]["sha256"]
    return found


def name_of(who: Identity) -> str:
    """Family and given name as DICOM writes them; the identifier where there is no name."""
    parts = (who.family_name or who.shown, who.given_name)
    clean = (part[: LONGEST_NAME // 2 - 1].replace("^", " ").replace("=", " ") for part in parts)
    return "^".join(clean)


def written(found: Dataset) -> bytes:
    """The file of an object, byte by byte the same every time."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = found.SOPClassUID
    meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta = meta
    content = BytesIO()
    dcmwrite(content, found, enforce_file_format=True)
    return content.getvalue()


def report_of(record: Record, identity: Identity | None = None) -> bytes:
    """A structured report of the numbers, as evidence for which the Encapsulated PDF is named.

    Raises MissingResourceError without highdicom.
    """
    required("highdicom", "exchange")
    from highdicom.sr import (
        ComprehensiveSR,
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=uid(record, "device"),
        name=record["package"]["name"][:LONGEST_NAME],
        manufacturer_name=MANUFACTURER,
        serial_number=record["package"]["sha256"],
    )
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(codes.DCM.Device, device)
        ),
        procedure_reported=concept("prediction", TITLE),
        imaging_measurements=groups(record),
        title=concept("report", TITLE),
    )
    evidence = shell(record, identity, "document")
    found = ComprehensiveSR(
        evidence=[evidence],
        content=content[0],
        series_instance_uid=uid(record, "reports"),
        series_number=2,
        sop_instance_uid=uid(record, "report"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_verified=False,
    )
    # In place of the time at which it was written.
    day = evidence.ContentDate
    for keyword in ("InstanceCreation", "Content", "Series"):
        setattr(found, f"{keyword}Date", day)
        setattr(found, f"{keyword}Time", MIDNIGHT)
    for equipment in found.ContributingEquipmentSequence:
        equipment.ContributionDateTime = day + MIDNIGHT
    return written(found)


def groups(record: Record) -> list[MeasurementsAndQualitativeEvaluations]:
    """A group of measurements of the row that predicts, and one of the reference."""
    rows = [(record["label"], record["estimates"])]
    if record["reference"] is not None:
        rows.append((record["reference"]["label"], record["reference"]["estimates"]))
    return [group(record, label, estimates) for label, estimates in rows]


def group(record: Record, label: str, estimates: Record) -> MeasurementsAndQualitativeEvaluations:
    """The measurements of one row."""
    from highdicom.sr import (
        AlgorithmIdentification,
        MeasurementsAndQualitativeEvaluations,
        TrackingIdentifier,
    )

    package = record["package"]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid(record, f"group {label}"), label),
        measurements=[
            one for stated in statements(record, estimates) for one in measurements(stated)
        ],
        algorithm_id=AlgorithmIdentification(
            name=method(record, label),
            version=package["survfuse"],
            parameters=[*notes(record), f"package {package['sha256']}"],
        ),
    )


def measurements(one: Statement) -> list[Measurement]:
    """A probability, and the ends of its interval."""
    from highdicom.sr import Measurement
    from pydicom.sr.coding import Code

    unit = Code("%", "UCUM", "percent")
    values = {
        concept(one.code, one.within): one.percent,
        concept(f"{one.code}-low", f"low end, {one.interval}"): one.low_percent,
        concept(f"{one.code}-high", f"high end, {one.interval}"): one.high_percent,
    }
    return [Measurement(name, value, unit) for name, value in values.items()]


def concept(value: str, meaning: str) -> CodedConcept:
    """A private code."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value[:16], SCHEME, meaning[:LONGEST_NAME])
