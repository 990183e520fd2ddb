"""Checking all inputs of a run, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from survfuse.cohort.check_patients import check_patients
from survfuse.cohort.check_settings import DIVIDING, check_settings
from survfuse.cohort.checked import Cohort, Sheets, no_images
from survfuse.cohort.exclusions import excluded_table, patients_without_inputs
from survfuse.config.study import Config
from survfuse.core.accents import composed
from survfuse.modalities.omics.checks import check_genes, check_rows
from survfuse.modalities.omics.sheet import genes_per_type, read_omics_sheet
from survfuse.modalities.slides.sheet import COLUMNS as SLIDE_COLUMNS
from survfuse.modalities.slides.sheet import REQUIRED as SLIDE_REQUIRED
from survfuse.modalities.slides.sheet import check_slides
from survfuse.modalities.volumes.sheet import REQUIRED as IMAGE_REQUIRED
from survfuse.modalities.volumes.sheet import (
    check_images,
    check_read_visits,
    check_visit_of_models,
)
from survfuse.models.specs import read_modalities
from survfuse.sheets.feature_table import check_feature_leaks, features_of, read_feature_table
from survfuse.sheets.findings import Findings
from survfuse.sheets.missing_words import without_missing_words
from survfuse.sheets.problems import Note, Problem, counted, ranges
from survfuse.sheets.text_table import Sheet, parse_sheet
from survfuse.splits.published_folds import check_folds, parse_folds
from survfuse.splits.published_missing import published_pattern
from survfuse.tasks.registry import task_of


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
    found.problems += check_settings(config, sheets)
    known = sheets.known
    slides, images = pd.DataFrame(columns=list(SLIDE_COLUMNS), dtype=object), no_images()
    if sheets.slides:
        slides, wrong = check_slides(sheets.slides, known, config.cohort)
        found.problems += wrong
    if sheets.images:
        images, wrong = check_images(sheets.images, known, config.cohort)
        found.problems += wrong + check_visit_of_models(sheets.images, config.imaging.visit)
        if not wrong:
            check_visits(sheets.images, images, config, found)
    if sheets.omics:
        wrong, told = check_rows(sheets.omics, known)
        found.problems += wrong
        found.notes += told
    outcomes = check_patients(sheets.patients, config, found) if sheets.patients else None
    if sheets.omics and sheets.patients and outcomes is not None:
        wrong, told = check_genes(sheets.omics, sheets.patients, outcomes, config.omics)
        found.problems += wrong
        found.notes += told
    if outcomes is None or sheets.patients is None or known is None:
        return sheets, None, found
    tables = read_features(sheets, outcomes, found)
    measured = set(sheets.omics.ids.rows["patient_id"]) if sheets.omics else set()
    cohort = Cohort(
        outcomes=outcomes.sort_values("patient_id", ignore_index=True),
        clinical=clinical_table(sheets.patients, config),
        slides=slides,
        omics_ids=frozenset(measured & known),
        genes=genes_per_type(sheets.omics.columns, config.omics.suffixes) if sheets.omics else {},
        folds=None,
        notes=(),
        images=images,
        gene_columns=sheets.omics.columns if sheets.omics else (),
        tables=tables,
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

    def read(
        path: Path | None, parse: Callable[[Path], tuple[Sheet | None, list[Problem]]]
    ) -> Sheet | None:
        if path is None:
            return None
        sheet, problems = parse(path)
        found.problems += problems
        found.notes += sheet.notes if sheet else ()
        return sheet

    patients = read(cohort.patients, lambda path: parse_sheet(path, wanted, ["patient_id"]))
    if patients:
        patients = replace(patients, rows=patients.rows.map(composed))  # it names no files
        levels = {name: covariate.levels for name, covariate in cohort.covariates.items()}
        words = levels | task_of(config).outcome_words(cohort)
        patients, told = without_missing_words(patients, words)
        found.notes += told
    slides = read(cohort.slides, lambda path: parse_sheet(path, SLIDE_REQUIRED))
    images = read(cohort.images, lambda path: parse_sheet(path, IMAGE_REQUIRED))
    folds = read(cohort.folds, parse_folds)
    omics, known = None, patients.rows["patient_id"] if patients else None
    if cohort.omics:
        omics = found.attempt(read_omics_sheet, cohort.omics, config.omics.orientation, known)
    tables = {
        name: table
        for name, path in cohort.tables.items()
        if (table := found.attempt(read_feature_table, path, known)) is not None
    }
    return Sheets(patients, slides, images, omics, folds, tables)


def read_features(
    sheets: Sheets, outcomes: pd.DataFrame, found: Findings
) -> dict[str, pd.DataFrame]:
    """The features of every table of numbers; those that give the outcome away are problems."""
    assert sheets.patients is not None
    by_patient = outcomes.set_index(pd.Index(sheets.patients.rows["patient_id"]))
    tables = {}
    for name, sheet in sheets.tables.items():
        features = found.attempt(features_of, sheet)
        if features is not None:
            found.problems += check_feature_leaks(sheet, features, by_patient)
            tables[name] = features
    return tables


def check_visits(sheet: Sheet, images: pd.DataFrame, config: Config, found: Findings) -> None:
    """What is wrong with, or unusual about, the visits that models read."""
    read = read_modalities(config)
    problems, notes = check_read_visits(sheet, images, config.imaging.visit, read)
    found.problems += problems
    found.notes += notes


def without_excluded(cohort: Cohort, patients: Sheet, config: Config, found: Findings) -> Cohort:
    """The cohort without the patients of whom no model reads anything, who are noted.

    Their slides and volumes stay, so that batches are dealt from the rows that were brought.
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
        where = "report.patients"
        remedy = "remove them"
        found.problems.append(Problem("configuration", None, where, None, fault, remedy))
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
        omics_ids=cohort.omics_ids - set(left_out),
        tables={
            name: table.drop(index=left_out, errors="ignore")
            for name, table in cohort.tables.items()
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
