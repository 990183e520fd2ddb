"""The report stage: the cohort report and the patient pages of one run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from survfuse.config import Config
from survfuse.reporting.cohort_page import cohort_context, page_ids
from survfuse.reporting.inputs import ReportData, ReportInputs, read_report_data
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
    data = read_matching(config, ReportInputs.under(results))
    chosen = page_ids(config, data) if patients is None else list(patients)
    for patient_id in chosen:
        check_patient(data, patient_id)
    if patients is None:
        write_page("cohort.html.j2", cohort_context(config, data), out / "index.html")
    if chosen:
        model = read_page_model(config, data)
        for patient_id in chosen:
            context = patient_context(config, data, model, patient_id)
            write_page("patient.html.j2", context, out / "patients" / f"{patient_id}.html")
    log.info("%d patient pages written", len(chosen))


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
