"""DICOM objects: read back by other code than wrote them, the same every time."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from exchange_fixture import PDF, of_classes, record
from survfuse.exchange.dicom import document_of, report_of
from survfuse.exchange.identity import Identity


def read(content: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(content))


def numbers(item: Dataset) -> dict[str, float]:
    """By code, of all measurements of the row that predicts; read without highdicom."""
    found: dict[str, float] = {}
    for child in item.get("ContentSequence", []):
        if child.ValueType == "NUM":
            (value,) = child.MeasuredValueSequence
            assert value.MeasurementUnitsCodeSequence[0].CodeValue == "%"
            code = child.ConceptNameCodeSequence[0].CodeValue
            found.setdefault(code, float(value.NumericValue))
        for code, number in numbers(child).items():
            found.setdefault(code, number)
    return found


def texts(item: Dataset) -> str:
    """All texts of a report, one after the other."""
    own = [str(item.TextValue)] if "TextValue" in item else []
    return "\n".join([*own, *(texts(child) for child in item.get("ContentSequence", []))])


@pytest.mark.parametrize("pdf", [PDF, PDF + b"\n"])
def test_the_page_comes_back_byte_by_byte(pdf: bytes) -> None:
    found = read(document_of(record(), pdf))
    assert found.EncapsulatedDocument[: found.EncapsulatedDocumentLength] == pdf
    assert found.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert found.VerificationFlag == "UNVERIFIED"
    assert "research use only" in found.DocumentTitle
    assert found.PatientID == "P1" and found.PatientBirthDate == ""


def test_the_report_has_the_numbers_and_names_the_page() -> None:
    page, report = read(document_of(record(), PDF)), read(report_of(record()))
    assert numbers(report) == {
        **{"risk-12": 0.4, "risk-12-low": 0.1, "risk-12-high": 2.0},
        **{"risk-36": 57.12, "risk-36-low": 41.0, "risk-36-high": 70.0},
    }
    named = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == page.SOPInstanceUID
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert report.VerificationFlag == "UNVERIFIED"
    assert page.StudyInstanceUID == report.StudyInstanceUID
    assert len({page.SeriesInstanceUID, report.SeriesInstanceUID}) == 2
    text = texts(report)
    assert "Research use only" in text and "gene expression: missing" in text


def test_both_rows_are_reported() -> None:
    text = texts(read(report_of(record())))
    assert "Clinical Cox, package study" in text and "survfuse, package study" in text


def test_classes_are_numbers_too() -> None:
    found = numbers(read(report_of(of_classes())))
    assert (found["class-0"], found["class-1"]) == (70, 30)


def test_the_same_prediction_is_the_same_object() -> None:
    assert document_of(record(), PDF) == document_of(record(), PDF)
    assert report_of(record()) == report_of(record())
    assert read(report_of(record("P2"))).SOPInstanceUID != read(report_of(record())).SOPInstanceUID


def test_identifiers_replace_the_pseudonym() -> None:
    known = Identity("P1", "4711", "Hospital", "Doe^x", "Jo", "1957-03-21")
    for content in (document_of(record(), PDF, known), report_of(record(), known)):
        found = read(content)
        assert (found.PatientID, found.IssuerOfPatientID) == ("4711", "Hospital")
        assert str(found.PatientName) == "Doe x^Jo" and found.PatientBirthDate == "19570321"


def test_identifiers_are_those_of_uuids() -> None:
    for value in (record(), record("x" * 64)):
        uid = read(document_of(value, PDF)).SOPInstanceUID
        assert uid.startswith("2.25.") and len(uid) <= 64 and uid.is_valid
