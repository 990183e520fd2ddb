"""Checking the patient sheet: ids, outcomes, site, covariates, and no outcome among them."""

from __future__ import annotations

import pandas as pd

from survfuse.artifacts.outcome_columns import columns_of
from survfuse.cohort.covariate_notes import notes_of_columns
from survfuse.cohort.covariates import check_covariates, check_leaks, check_site
from survfuse.config.cohort import CohortConfig
from survfuse.config.study import Config
from survfuse.sheets.findings import Findings
from survfuse.sheets.text_table import Sheet, check_identifiers
from survfuse.tasks.loading import task_of


def check_patients(sheet: Sheet, config: Config, found: Findings) -> pd.DataFrame | None:
    """The outcomes with ids, or None where the sheet does not give them for every patient."""
    settings = with_columns(config.cohort, sheet)
    problems = check_identifiers(sheet, "patient_id")
    if settings.site:
        problems += check_site(sheet, settings.site)
    decisive = len(problems)  # what keeps patients from being divided; a covariate does not
    found.notes += notes_of_columns(sheet, settings)
    outcomes = None
    task = task_of(config)
    if set(task.outcome_columns(settings)) <= {*sheet.rows}:
        outcomes, wrong = task.read_outcomes(sheet, settings)
        decisive += len(wrong)
        problems += wrong
        sound = outcomes[columns_of(outcomes).sound(outcomes)]
        problems += check_leaks(sheet, sound, settings)
        found.notes += task.outcome_notes(sheet, sound, settings)
        outcomes.insert(0, "patient_id", sheet.rows["patient_id"])
    problems += check_covariates(sheet, settings)
    found.problems += problems
    complete = settings.site == config.cohort.site and not decisive
    return outcomes if complete else None


def with_columns(config: CohortConfig, sheet: Sheet) -> CohortConfig:
    """The settings without the covariates and the site that the sheet lacks."""
    covariates = {name: c for name, c in config.covariates.items() if name in sheet.rows}
    site = config.site if config.site in sheet.rows else None
    return config.model_copy(update={"covariates": covariates, "site": site})
