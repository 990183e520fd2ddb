"""The pages of a run whose models estimate survival."""

from __future__ import annotations

from survfuse.reporting.inputs import ReportData, read_report_data
from survfuse.reporting.pages import TaskPages
from survfuse.reporting.survival.cohort_page import cohort_context
from survfuse.reporting.survival.patient_page import PageModel, patient_context, read_page_model

PAGES: TaskPages[ReportData, PageModel] = TaskPages(
    cohort_template="cohort.html.j2",
    patient_template="patient.html.j2",
    read=lambda _, inputs: read_report_data(inputs),
    read_model=read_page_model,
    cohort=cohort_context,
    patient=patient_context,
)
