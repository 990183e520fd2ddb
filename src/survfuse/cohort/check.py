"""Checking all inputs of a run, before anything is computed."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from survfuse.cohort.check_patients import check_patients
from survfuse.cohort.check_settings import DIVIDING, check_settings
from survfuse.cohort.checked import Cohort, Sheets
from survfuse.cohort.exclusions import excluded_table, patients_without_inputs
from survfuse.config.study import Config
from survfuse.core.accents import composed
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import SHEET_OF, sheets_of
from survfuse.modalities.sheets import Brought, CheckedPatients
from survfuse.models.specs import read_modalities
from survfuse.sheets.findings import Findings
from survfuse.sheets.missing_words import without_missing_words
from survfuse.sheets.problems import Note, counted, ranges
from survfuse.sheets.text_table import Sheet, parse_sheet
from survfuse.splits.published_folds import check_folds, parse_folds
from survfuse.splits.published_missing import published_pattern
from survfuse.tasks.loading import task_of


def check_cohort(config: Config) -> Cohort:
    """Read and check all sheets of a run.

    Raises SheetError (a UserInputError, exit code 2) with a table of all problems: those that keep
    sheets from being read, those of their cells, and those of the cohort as a whole (an outcome
    among the inputs, too few events) as far as the sheets could be read.
    """
    _, cohort, found = examine(config)
    found.stop_if_any()
    assert cohort is not None, "a cohort that cannot be put together has problems"
    return cohort


def examine(config: Config) -> tuple[Sheets, Cohort | None, Findings]:
    """The sheets of a run, the cohort if it can be put together, and what is wrong with them.

    Every check is made whose sheets can be read. The cohort is only to be used where nothing is.
    """
    found = Findings()
    sheets = read_sheets(config, found)
    check_settings(config, sheets, found)
    outcomes = check_patients(sheets.patients, config, found) if sheets.patients else None
    brought = check_brought(sheets, outcomes, config, found)
    if outcomes is None or sheets.patients is None:
        return sheets, None, found
    cohort = Cohort(
        outcomes=outcomes.sort_values("patient_id", ignore_index=True),
        clinical=clinical_table(sheets.patients, config),
        tables={source: one.table for source, one in brought.items()},
        facts={key: fact for one in brought.values() for key, fact in one.facts.items()},
        folds=None,
        notes=(),
    )
    if not found.problems:
        cohort = without_excluded(cohort, sheets.patients, config, found)
    divided = with_folds(cohort, sheets.folds, config, found)
    if divided is None:
        return sheets, None, found
    if not any(problem.column in DIVIDING for problem in found.problems):
        found.problems += task_of(config).check_splits(
            divided.outcomes, divided.sites, divided.folds, config
        )
    return sheets, replace(divided, notes=tuple(found.notes)), found


def read_sheets(config: Config, found: Findings) -> Sheets:
    """Read all configured sheets; what is unreadable in any of them goes to `found`.

    Words for missing are made empty in the patient sheet, with a note.
    """
    cohort = config.cohort
    assert cohort.patients is not None, "the configuration requires a patient sheet"
    wanted = ["patient_id", *task_of(config).outcome_columns(cohort), *cohort.covariates]
    wanted += [cohort.site] if cohort.site else []

    patients = found.take(*parse_sheet(cohort.patients, wanted, ["patient_id"]))
    if patients:
        patients = replace(patients, rows=patients.rows.map(composed))  # it names no files
        levels = {name: covariate.levels for name, covariate in cohort.covariates.items()}
        words = levels | task_of(config).outcome_words(cohort)
        patients, notes = without_missing_words(patients, words)
        found.notes += notes
    folds = found.take(*parse_folds(cohort.folds)) if cohort.folds else None
    known = frozenset(patients.rows["patient_id"]) if patients else None
    brought = {
        source: sheet
        for source in sheets_of(cohort)
        if (sheet := modality(SHEET_OF[source]).read_sheet(config, known, found)) is not None
    }
    return Sheets(patients, folds, brought)


def check_brought(
    sheets: Sheets, outcomes: pd.DataFrame | None, config: Config, found: Findings
) -> dict[str, Brought]:
    """What the cohort keeps of the sheets of modalities, by the key of SOURCES."""
    patients = CheckedPatients(sheets.patients, outcomes, read_modalities(config))
    kept = {}
    for source, name in SHEET_OF.items():
        one = modality(name).without_sheet
        if source in sheets.brought:
            one = modality(name).check_sheet(sheets.brought[source], patients, config, found)
        if one is not None:
            kept[source] = one
    return kept


def without_excluded(cohort: Cohort, patients: Sheet, config: Config, found: Findings) -> Cohort:
    """The cohort without the patients of whom no model reads anything, who are noted.

    Their files stay, so that batches are dealt from the rows that were brought.
    """
    left_out = patients_without_inputs(cohort.available(config), config)
    if not left_out:
        return cohort
    rows = patients.rows.index[patients.rows["patient_id"].isin(left_out)]
    if len(left_out) == len(cohort.outcomes):
        remedy = "use the same ids in all sheets"
        fault = (
            f"no patient has any input that a model reads ({', '.join(read_modalities(config))})"
        )
        found.problems.append(patients.problem(None, "patient_id", fault, remedy))
        return cohort
    if config.report.patients != "all" and (asked := set(config.report.patients) & set(left_out)):
        fault = f"{len(asked)} of these patients have no input that a model reads"
        found.setting("report.patients", fault, "remove them")
    sentence = "Patients who have no input that a model reads are left out."
    example = f"{counted(len(left_out), 'patient')}, rows {ranges(rows.tolist())}"
    remedy = "add a slide, genes, a volume or covariates"
    found.notes.append(Note(str(patients.path), sentence, example, remedy))

    def kept(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[~frame["patient_id"].isin(left_out)].reset_index(drop=True)

    return replace(
        cohort,
        outcomes=kept(cohort.outcomes),
        clinical=kept(cohort.clinical),
        tables={
            source: table if "patient_id" in table else table.drop(index=left_out, errors="ignore")
            for source, table in cohort.tables.items()
        },
        excluded=excluded_table(left_out),
    )


def with_folds(
    cohort: Cohort, sheet: Sheet | None, config: Config, found: Findings
) -> Cohort | None:
    """The cohort with its published folds, if it has some; None where they cannot be used."""
    if config.cohort.folds:
        if sheet is None:
            return None
        ids = cohort.outcomes["patient_id"].tolist()
        folds, wrong, notes = check_folds(sheet, ids, config.splits)
        found.problems += wrong
        found.notes += notes
        return None if wrong else replace(cohort, folds=folds)
    missing = config.cohort.missing
    if missing and missing.published and found.problems:
        return None  # who has what is not known
    if missing and missing.published:
        available = cohort.available(config)
        published = found.attempt(published_pattern, missing, config.splits, available)
        return None if published is None else replace(cohort, folds=published[0])
    return cohort


def clinical_table(patients: Sheet, config: Config) -> pd.DataFrame:
    """The inputs of the patient sheet: id, site, covariates. The outcome stays behind."""
    columns = {"patient_id": patients.rows["patient_id"]}
    if config.cohort.site:
        columns["site"] = patients.rows[config.cohort.site]
    given = [name for name in config.cohort.covariates if name in patients.rows]
    columns |= {name: patients.rows[name] for name in given}
    return pd.DataFrame(columns).sort_values("patient_id", ignore_index=True)
