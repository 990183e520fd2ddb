"""The report stage: the cohort report and the patient pages of one run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from survfuse.config import Config
from survfuse.reporting.cohort_page import cohort_context, page_ids
from survfuse.reporting.diagnosis_inputs import read_diagnosis_data
from survfuse.reporting.diagnosis_page import diagnosis_context
from survfuse.reporting.diagnosis_patient import diagnosis_patient_context, read_class_model
from survfuse.reporting.inputs import ReportData, ReportInputs, RunData, read_report_data
from survfuse.reporting.patient_page import check_patient, patient_context, read_page_model
from survfuse.reporting.provenance import check_same_splits
from survfuse.reporting.render import write_page

log = logging.getLogger(__name__)


def write_reports(
    config: Config, results: Path, out: Path, patients: Sequence[str] | None = None
) -> None:
    """Write `out`/index.html and `out`/patients/{patient_id}.html from a results directory.

    With `patients` only their pages are written, otherwise the cohort report and the pages of
    `config.report.patients`. Raises UserInputError as the two functions below, and for an unknown
    patient before anything is written.
    """
    inputs = ReportInputs.under(results)
    if config.cohort.diagnosis is not None:
        write_diagnosis_reports(config, inputs, out, patients)
        return
    data = read_matching(config, inputs)
    chosen = chosen_patients(config, data, patients)
    if patients is None:
        write_page("cohort.html.j2", cohort_context(config, data), out / "index.html")
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
    data = read_diagnosis_data(config, inputs)
    check_same_splits(config, data)
    chosen = chosen_patients(config, data, patients)
    if patients is None:
        write_page("diagnosis.html.j2", diagnosis_context(config, data), out / "index.html")
    if chosen:
        model = read_class_model(config, data)
        for patient_id in chosen:
            context = diagnosis_patient_context(config, data, model, patient_id)
            page = out / "patients" / f"{patient_id}.html"
            write_page("diagnosis_patient.html.j2", context, page)
    log.info("%d patient pages written", len(chosen))


def chosen_patients(config: Config, data: RunData, patients: Sequence[str] | None) -> list[str]:
    """Whose pages are written. Raises UserInputError for an unknown patient."""
    chosen = page_ids(config, data) if patients is None else list(patients)
    for patient_id in chosen:
        check_patient(data, patient_id)
    return chosen


def write_cohort_report(config: Config, inputs: ReportInputs, out: Path) -> None:
    """Write the cohort report as one self-contained HTML file.

    Raises UserInputError if a file is absent or unreadable, or if splits, fitted models and
    evaluation do not belong together.
    """
    data = read_matching(config, inputs)
    write_page("cohort.html.j2", cohort_context(config, data), out)


def write_patient_report(config: Config, inputs: ReportInputs, patient_id: str, out: Path) -> None:
    """Write the page of one patient as one self-contained HTML file.

    Raises UserInputError if the patient is not in the cohort, if the model of the page has no
    prediction for them, or if files are absent or do not belong together.
    """
    data = read_matching(config, inputs)
    check_patient(data, patient_id)
    model = read_page_model(config, data)
    write_page("patient.html.j2", patient_context(config, data, model, patient_id), out)


def read_matching(config: Config, inputs: ReportInputs) -> ReportData:
    """Read the files of a run and check that they belong together."""
    data = read_report_data(inputs)
    check_same_splits(config, data)
    return data
