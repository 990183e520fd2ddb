"""The report stage: the cohort report and the patient pages of one run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from survfuse.config.study import Config
from survfuse.core.errors import TooManyFailuresError
from survfuse.reporting.cohort_shell import page_ids
from survfuse.reporting.inputs import ReportInputs, RunData
from survfuse.reporting.pages import FailedPage, pages_of
from survfuse.reporting.parts import why
from survfuse.reporting.patient_shell import check_patient
from survfuse.reporting.render import WordingError, write_page
from survfuse.reporting.saved_files import remove_others, remove_patient
from survfuse.reporting.sections.provenance import check_same_splits
from survfuse.tasks.loading import task_of
from survfuse.tasks.required import check_evaluated

log = logging.getLogger(__name__)

Data = TypeVar("Data", bound=RunData)


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
    pages = pages_of(task_of(config))
    data = current(config, pages.read(config, inputs))
    check_evaluated(config, data.evaluation, inputs.evaluation_json)
    check_same_splits(config, data)
    chosen = chosen_patients(config, data, patients)
    model = pages.read_model(config, data) if chosen else None
    written: set[Path] = set()
    failed = []
    for patient_id in chosen:
        page = out / "patients" / f"{patient_id}.html"
        try:
            context = pages.patient(config, data, model, patient_id)
            written |= write_page(pages.patient_template, context, page, out)
        except WordingError:
            raise
        except Exception as error:
            failed.append(FailedPage(patient_id, why(error)))
            log.warning("patient %s: no page was written: %s", patient_id, failed[-1].reason)
            remove_patient(out, patient_id)
    if patients is None:
        context = pages.cohort(config, data, failed)  # last: it lists the others
        written |= write_page(pages.cohort_template, context, out / "index.html", out)
        remove_others(out, written)
    log.info("%d patient pages written", len(chosen) - len(failed))
    if failed:
        summary = f"{len(failed)} of {len(chosen)} patient pages could not be written"
        log.warning("%s: %s", summary, ", ".join(page.patient_id for page in failed))
        if patients is not None:
            raise TooManyFailuresError(f"{summary}; the reasons are above")


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
