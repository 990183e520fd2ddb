"""The report stage: the cohort report and the patient pages of one run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from survfuse.config import Config
from survfuse.reporting.cohort_page import cohort_context, page_ids
from survfuse.reporting.diagnosis_inputs import read_diagnosis_data
from survfuse.reporting.diagnosis_page import diagnosis_context
from survfuse.reporting.diagnosis_patient import diagnosis_patient_context, read_class_model
from survfuse.reporting.inputs import ReportInputs, RunData, read_report_data
from survfuse.reporting.patient_page import check_patient, patient_context, read_page_model
from survfuse.reporting.provenance import check_same_splits
from survfuse.reporting.render import write_page

log = logging.getLogger(__name__)

Data = TypeVar("Data", bound=RunData)


def write_reports(
    config: Config, results: Path, out: Path, patients: Sequence[str] | None = None
) -> None:
    """Write `out`/index.html and `out`/patients/{patient_id}.html from a results directory.

    With `patients` only their pages are written, otherwise the cohort report and the pages of
    `config.report.patients`, and pages of other patients are removed. Raises UserInputError if
    files are absent, unreadable or do not belong together, for an unknown patient before anything
    is written, and if the model of the pages has no prediction for a patient.
    """
    inputs = ReportInputs.under(results)
    if config.cohort.diagnosis is not None:
        write_diagnosis_reports(config, inputs, out, patients)
        return
    data = current(config, read_report_data(inputs))
    check_same_splits(config, data)
    chosen = chosen_patients(config, data, patients)
    if patients is None:
        write_page("cohort.html.j2", cohort_context(config, data), out / "index.html")
        remove_other_pages(out, chosen)
    if chosen:
        model = read_page_model(config, data)
        for patient_id in chosen:
            context = patient_context(config, data, model, patient_id)
            write_page("patient.html.j2", context, out / "patients" / f"{patient_id}.html")
    log.info("%d patient pages written", len(chosen))


def write_diagnosis_reports(
    config: Config, inputs: ReportInputs, out: Path, patients: Sequence[str] | None
) -> None:
    """The same of a run whose models tell classes apart."""
    data = current(config, read_diagnosis_data(config, inputs))
    check_same_splits(config, data)
    chosen = chosen_patients(config, data, patients)
    if patients is None:
        write_page("diagnosis.html.j2", diagnosis_context(config, data), out / "index.html")
        remove_other_pages(out, chosen)
    if chosen:
        model = read_class_model(config, data)
        for patient_id in chosen:
            context = diagnosis_patient_context(config, data, model, patient_id)
            page = out / "patients" / f"{patient_id}.html"
            write_page("diagnosis_patient.html.j2", context, page)
    log.info("%d patient pages written", len(chosen))


def current(config: Config, data: Data) -> Data:
    """The data with the endpoint in the words of today.

    The summary of the cohort has those that held when the cohort was checked.
    """
    endpoint = config.cohort.endpoint
    words = {"name": endpoint.name, "definition": endpoint.definition}
    return replace(data, cohort={**data.cohort, "endpoint": words})


def chosen_patients(config: Config, data: RunData, patients: Sequence[str] | None) -> list[str]:
    """Whose pages are written. Raises UserInputError for an unknown patient."""
    chosen = page_ids(config, data) if patients is None else list(patients)
    for patient_id in chosen:
        check_patient(data, patient_id)
    return chosen


def remove_other_pages(out: Path, chosen: Sequence[str]) -> None:
    """Remove the pages that an earlier run wrote of patients who no longer get one."""
    for page in (out / "patients").glob("*.html"):
        if page.stem not in chosen:
            page.unlink()
