"""The report stage: the cohort report and the patient pages of one run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from survfuse.artifacts.layout import ReportFolder
from survfuse.config.study import Config
from survfuse.core.errors import TooManyFailuresError
from survfuse.reporting.diagnosis.cohort_page import diagnosis_context
from survfuse.reporting.diagnosis.inputs import read_diagnosis_data
from survfuse.reporting.diagnosis.patient_page import diagnosis_patient_context, read_class_model
from survfuse.reporting.inputs import ReportInputs, RunData, read_report_data
from survfuse.reporting.parts import why
from survfuse.reporting.render import WordingError, write_page
from survfuse.reporting.saved_files import remove_others, remove_patient
from survfuse.reporting.sections.provenance import check_same_splits
from survfuse.reporting.survival.cohort_page import FailedPage, cohort_context, page_ids
from survfuse.reporting.survival.patient_page import check_patient, patient_context, read_page_model
from survfuse.tasks.required import check_evaluated

log = logging.getLogger(__name__)

Data = TypeVar("Data", bound=RunData)
Context = Mapping[str, Any]


@dataclass(frozen=True)
class Pages:
    """The pages of one run: their templates, and what these print."""

    chosen: list[str]  # patients that get a page
    cohort_template: str
    patient_template: str
    cohort: Callable[[Sequence[FailedPage]], Context]
    patient: Callable[[str], Context]


def write_reports(
    config: Config, results: Path, out: Path, patients: Sequence[str] | None = None
) -> None:
    """Write `out`/index.html, `out`/patients/{patient_id}.html, and their figures and tables.

    With `patients` only their pages are written, otherwise those of `config.report.patients` and
    the cohort report, and what an earlier run wrote for other pages is removed. A patient page that
    cannot be made costs no other page: the cohort report says which is missing and why. Where
    `patients` asks for it by name, TooManyFailuresError is raised once all others are written.

    Raises UserInputError if files are absent, unreadable or do not belong together, if a mandatory
    row was not evaluated, and for an unknown patient before anything is written; WordingError where
    a page says what no page may say.
    """
    inputs = ReportInputs.under(results)
    make = survival_pages if config.cohort.diagnosis is None else diagnosis_pages
    pages = make(config, inputs, patients)
    written: set[Path] = set()
    failed = []
    for patient_id in pages.chosen:
        page = ReportFolder(out).patient(patient_id)
        try:
            written |= write_page(pages.patient_template, pages.patient(patient_id), page, out)
        except WordingError:
            raise
        except Exception as error:
            failed.append(FailedPage(patient_id, why(error)))
            log.warning("patient %s: no page was written: %s", patient_id, failed[-1].reason)
            remove_patient(out, patient_id)
    if patients is None:
        written |= write_page(
            pages.cohort_template, pages.cohort(failed), ReportFolder(out).index, out
        )  # last: it lists the others
        remove_others(out, written)
    log.info("%d patient pages written", len(pages.chosen) - len(failed))
    if failed:
        summary = f"{len(failed)} of {len(pages.chosen)} patient pages could not be written"
        log.warning("%s: %s", summary, ", ".join(page.patient_id for page in failed))
        if patients is not None:
            raise TooManyFailuresError(f"{summary}; the reasons are above")


def survival_pages(config: Config, inputs: ReportInputs, patients: Sequence[str] | None) -> Pages:
    """The pages of a run whose models estimate survival."""
    data = current(config, read_report_data(inputs))
    check_evaluated(config, data.evaluation, inputs.evaluation_json)
    check_same_splits(config, data)
    chosen = chosen_patients(config, data, patients)
    model = read_page_model(config, data) if chosen else None

    def patient(patient_id: str) -> Context:
        assert model is not None, "there is a model where anybody gets a page"
        return patient_context(config, data, model, patient_id)

    return Pages(
        chosen,
        "cohort.html.j2",
        "patient.html.j2",
        lambda failed: cohort_context(config, data, failed),
        patient,
    )


def diagnosis_pages(config: Config, inputs: ReportInputs, patients: Sequence[str] | None) -> Pages:
    """The pages of a run whose models classify."""
    data = current(config, read_diagnosis_data(config, inputs))
    check_evaluated(config, data.evaluation, inputs.evaluation_json)
    check_same_splits(config, data)
    chosen = chosen_patients(config, data, patients)
    model = read_class_model(config, data) if chosen else None

    def patient(patient_id: str) -> Context:
        assert model is not None, "there is a model where anybody gets a page"
        return diagnosis_patient_context(config, data, model, patient_id)

    return Pages(
        chosen,
        "diagnosis.html.j2",
        "diagnosis_patient.html.j2",
        lambda failed: diagnosis_context(config, data, failed),
        patient,
    )


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
