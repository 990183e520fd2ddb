"""The pages of a run whose models classify."""

from __future__ import annotations

from survfuse.reporting.diagnosis.cohort_page import diagnosis_context
from survfuse.reporting.diagnosis.inputs import DiagnosisData, read_diagnosis_data
from survfuse.reporting.diagnosis.patient_page import (
    ClassModel,
    diagnosis_patient_context,
    read_class_model,
)
from survfuse.reporting.pages import TaskPages

PAGES: TaskPages[DiagnosisData, ClassModel] = TaskPages(
    cohort_template="diagnosis.html.j2",
    patient_template="diagnosis_patient.html.j2",
    read=read_diagnosis_data,
    read_model=read_class_model,
    cohort=diagnosis_context,
    patient=diagnosis_patient_context,
)
