"""Checking the sheets of patients who were in no study: as those of a study, but for outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from survfuse.artifacts.cohort_tables import write_brought, write_table
from survfuse.artifacts.layout import CohortFolder
from survfuse.cohort.check import check_brought, clinical_table
from survfuse.cohort.check_patients import with_columns
from survfuse.cohort.checked import Sheets
from survfuse.cohort.covariates import check_covariates
from survfuse.config.cohort import CohortConfig
from survfuse.config.study import Config
from survfuse.core.accents import composed
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import SHEET_OF, sheets_of
from survfuse.sheets.findings import Findings
from survfuse.sheets.missing_words import without_missing_words
from survfuse.sheets.problems import Note
from survfuse.sheets.text_table import Sheet, check_identifiers, parse_sheet


@dataclass(frozen=True)
class NewPatients:
    """Checked sheets of patients without outcomes; tables as of `cohort.checked.Cohort`."""

    clinical: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    notes: tuple[Note, ...]

    @property
    def ids(self) -> list[str]:
        """The patients, sorted."""
        return [str(patient) for patient in self.clinical["patient_id"]]

    def write(self, folder: CohortFolder) -> None:
        """Write the tables where stages read them."""
        write_table(folder.clinical, self.clinical)
        write_brought(folder, self.tables)


def check_new_patients(config: Config) -> NewPatients:
    """Read and check the sheets that the section `cohort` names; outcomes are not looked at.

    Raises SheetError (a UserInputError) with everything that is wrong with them.
    """
    found = Findings()
    patients = read_patients(config, found)
    known = frozenset(patients.rows["patient_id"]) if patients else None
    brought = {
        source: sheet
        for source in sheets_of(config.cohort)
        if (sheet := modality(SHEET_OF[source]).read_sheet(config, known, found)) is not None
    }
    if patients:
        config = config.model_copy(update={"cohort": with_columns(config.cohort, patients)})
        found.problems += check_identifiers(patients, "patient_id")
        found.problems += check_covariates(patients, filled(config.cohort, patients))
    kept = check_brought(Sheets(patients, None, brought), None, config, found)
    for source, sheet in brought.items():
        check_preparation = modality(SHEET_OF[source]).check_preparation
        found.notes += found.attempt(check_preparation, sheet, config) or []
    found.stop_if_any()
    assert patients is not None, "a patient sheet that cannot be read is a problem"
    return NewPatients(
        clinical_table(patients, config),
        {source: one.table for source, one in kept.items()},
        tuple(found.notes),
    )


def filled(config: CohortConfig, patients: Sheet) -> CohortConfig:
    """The settings without covariates that no patient has: of a few patients that is no mistake."""
    sheet = patients.rows
    given = {
        name: one
        for name, one in config.covariates.items()
        if name not in sheet or any(sheet[name])
    }
    return config.model_copy(update={"covariates": given})


def read_patients(
    config: Config, found: Findings, words: Mapping[str, Sequence[str]] | None = None
) -> Sheet | None:
    """The patient sheet, with words for missing made empty; None where it cannot be read.

    `words`: what columns other than covariates may hold, even if it reads like "missing".
    """
    path = config.cohort.patients
    assert path is not None, "the configuration names the patient sheet"
    patients = found.take(*parse_sheet(Path(path), ["patient_id"]))
    if patients is None:
        return None
    patients = replace(patients, rows=patients.rows.map(composed))
    levels = {name: covariate.levels for name, covariate in config.cohort.covariates.items()}
    patients, notes = without_missing_words(patients, levels | dict(words or {}))
    found.notes += notes
    return patients
