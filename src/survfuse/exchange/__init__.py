"""Predictions in the forms of hospital systems: FHIR, DICOM and HL7, each made of the record."""
