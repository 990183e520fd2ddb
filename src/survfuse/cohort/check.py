"""Checking everything a run is told, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pandas as pd

from survfuse.cohort.check_splits import check_splits
from survfuse.cohort.covariates import check_covariates, check_leaks, check_site
from survfuse.cohort.endpoint import endpoint_columns, parse_outcomes
from survfuse.cohort.folds import REQUIRED as FOLD_COLUMNS
from survfuse.cohort.folds import check_folds
from survfuse.cohort.image_sheet import COLUMNS as IMAGE_COLUMNS
from survfuse.cohort.image_sheet import REQUIRED as IMAGE_REQUIRED
from survfuse.cohort.image_sheet import check_images, check_visit_of_models, read_by_models
from survfuse.cohort.missing_splits import published_pattern
from survfuse.cohort.omics_sheet import OmicsSheet, genes_per_type, read_omics_sheet
from survfuse.cohort.problems import Problem, SheetError, stop_if_any
from survfuse.cohort.sheets import Sheet, cells_of, check_identifiers, check_unique, read_sheet
from survfuse.cohort.slide_sheet import COLUMNS as SLIDE_COLUMNS
from survfuse.cohort.slide_sheet import REQUIRED as SLIDE_REQUIRED
from survfuse.cohort.slide_sheet import check_slides
from survfuse.config import Config
from survfuse.config_imaging import IMAGES

Content = TypeVar("Content")


@dataclass(frozen=True)
class Cohort:
    """A checked cohort; frames are sorted by id, whatever the order in the sheets.

    outcomes: `patient_id, time_months, event` (1 = observed), for a diagnosis also `label` or, by a
    column, `label` alone (-1 = unknown).
    clinical: `patient_id`, `site` if configured, covariates; raw text, "" = missing. No outcome.
    slides: `slide_id, patient_id, path, mpp, features`; text, absolute paths, "" = missing.
    images: `patient_id, visit, modality, path, mask, reference, registration`; likewise.
    omics_ids: patients of the cohort that have a row in the gene matrix.
    genes: number of measured columns per data type; gene_columns: all their names.
    folds: published folds `patient_id, fold`, or None.
    notes: sentences about what is unusual but not wrong.
    """

    outcomes: pd.DataFrame
    clinical: pd.DataFrame
    slides: pd.DataFrame
    omics_ids: frozenset[str]
    genes: dict[str, int]
    folds: pd.DataFrame | None
    notes: tuple[str, ...]
    images: pd.DataFrame = field(default_factory=lambda: no_images())
    gene_columns: tuple[str, ...] = ()

    @property
    def sites(self) -> pd.Series[str] | None:
        """Site by patient id, where sites are configured."""
        by_patient = self.clinical.set_index("patient_id")
        return by_patient.get("site")

    def available(self, config: Config) -> pd.DataFrame:
        """Who has slides, omics, any covariate, and MRI and PET where there is an image sheet."""
        described = self.clinical.set_index("patient_id")[list(config.cohort.covariates)]
        ids, images = described.index, IMAGES if config.cohort.images else {}
        read = read_by_models(self.images, config.imaging.visit)
        return pd.DataFrame(
            {
                "slides": ids.isin(self.slides["patient_id"]),
                "omics": ids.isin(list(self.omics_ids)),
                "clinical": (described != "").any(axis=1),
                **{
                    name: ids.isin(read.loc[read["modality"].isin(kinds), "patient_id"])
                    for name, kinds in images.items()
                },
            },
            index=ids,
        )


@dataclass(frozen=True)
class Sheets:
    """The sheets as read; None where not configured."""

    patients: Sheet
    slides: Sheet | None
    images: Sheet | None
    omics: OmicsSheet | None
    folds: Sheet | None


def check_cohort(config: Config) -> Cohort:
    """Read and check all sheets of a run.

    Raises SheetError (a UserInputError, exit code 2) with a table of all problems: first those
    that keep sheets from being read, then those of their cells, then those of the cohort as a
    whole (an outcome among the inputs, patients without inputs, too few events).
    """
    sheets = read_sheets(config)
    problems = check_settings(config, sheets)
    patients = sheets.patients
    problems += check_identifiers(patients, "patient_id")
    outcomes, wrong = parse_outcomes(patients, config.cohort)
    problems += wrong
    if config.cohort.site:
        problems += check_site(patients, config.cohort.site)
    problems += check_covariates(patients, config.cohort)
    known = set(patients.rows["patient_id"])
    slides = pd.DataFrame(columns=list(SLIDE_COLUMNS), dtype=object)
    if sheets.slides:
        slides, wrong = check_slides(sheets.slides, known, config.cohort)
        problems += wrong
    images = no_images()
    if sheets.images:
        images, wrong = check_images(sheets.images, known, config.cohort)
        problems += wrong
        problems += check_visit_of_models(sheets.images, config.imaging.visit)
    if sheets.omics:
        problems += check_unique(sheets.omics.ids, "patient_id")
    folds = None
    if sheets.folds:
        folds, wrong = check_folds(sheets.folds, known, config.splits)
        problems += wrong
    stop_if_any(problems)

    stop_if_any([*check_leaks(patients, outcomes, config.cohort), *check_modalities(sheets)])
    outcomes.insert(0, "patient_id", patients.rows["patient_id"])
    measured = set(sheets.omics.ids.rows["patient_id"]) if sheets.omics else set()
    cohort = Cohort(
        outcomes=outcomes.sort_values("patient_id", ignore_index=True),
        clinical=clinical_table(patients, config),
        slides=slides,
        omics_ids=frozenset(measured & known),
        genes=genes_per_type(sheets.omics.columns, config.omics.suffixes) if sheets.omics else {},
        folds=folds,
        notes=tuple(notes(sheets, config)),
        images=images,
        gene_columns=sheets.omics.columns if sheets.omics else (),
    )
    missing = config.cohort.missing
    if missing and missing.published:
        folds, _ = published_pattern(missing, config.splits, cohort.available(config))
        cohort = replace(cohort, folds=folds)
    stop_if_any(check_splits(cohort, config))
    return cohort


def no_images() -> pd.DataFrame:
    """The volumes of a cohort without an image sheet."""
    return pd.DataFrame(columns=list(IMAGE_COLUMNS), dtype=object)


def read_sheets(config: Config) -> Sheets:
    """Read all configured sheets. Raises SheetError with what is unreadable in any of them."""
    cohort = config.cohort
    assert cohort.patients is not None, "the configuration requires a patient sheet"
    wanted = ["patient_id", *endpoint_columns(cohort), *cohort.covariates]
    wanted += [cohort.site] if cohort.site else []
    problems: list[Problem] = []

    def attempt(read: Callable[[Path], Content], path: Path | None) -> Content | None:
        try:
            return read(path) if path else None
        except SheetError as error:
            problems.extend(error.problems)
            return None

    patients = attempt(lambda path: read_sheet(path, wanted), cohort.patients)
    slides = attempt(lambda path: read_sheet(path, SLIDE_REQUIRED), cohort.slides)
    images = attempt(lambda path: read_sheet(path, IMAGE_REQUIRED), cohort.images)
    omics = attempt(read_omics_sheet, cohort.omics)
    folds = attempt(lambda path: read_sheet(path, FOLD_COLUMNS), cohort.folds)
    stop_if_any(problems)
    assert patients is not None, "an unreadable sheet leaves a problem"
    return Sheets(patients, slides, images, omics, folds)


def check_settings(config: Config, sheets: Sheets) -> list[Problem]:
    """Problems of settings that only the sheets reveal."""
    problems = []

    def setting(key: str, problem: str, remedy: str) -> None:
        problems.append(Problem("configuration", None, key, None, problem, remedy))

    if config.splits.group_by_site:
        column = config.cohort.site
        if column is None:
            setting("cohort.site", "is missing", "name it, or unset splits.group_by_site")
        elif (sites := sheets.patients.rows[column].nunique()) < config.splits.folds:
            problem = f"there are {sites} sites for {config.splits.folds} folds"
            setting("splits.folds", problem, "use fewer folds, or unset splits.group_by_site")
    if sheets.omics:
        genes = genes_per_type(sheets.omics.columns, config.omics.suffixes)
        for kind in (kind for kind, count in genes.items() if count == 0):
            problem = f"no gene column ends with {config.omics.suffixes[kind]!r} ({kind})"
            setting("omics.suffixes", problem, "use the suffixes of your table")
        if config.omics.gene_sets and not config.omics.gene_sets.is_file():
            setting("omics.gene_sets", "no such file", "correct the path")
    for key in ("template", "template_mask", "reference_region") if sheets.images else ():
        path = getattr(config.imaging, key)
        if path is not None and not path.is_file():
            setting(f"imaging.{key}", "no such file", "correct the path")
    if config.report.patients != "all":
        known = set(sheets.patients.rows["patient_id"])
        if unknown := sum(patient not in known for patient in config.report.patients):
            problem = f"{unknown} of these patients are not in the patient sheet"
            setting("report.patients", problem, "correct or remove them")
    return problems


def check_modalities(sheets: Sheets) -> list[Problem]:
    """Problems of genes that belong to nobody, and of patients with neither slides nor genes.

    Where there is an image sheet, patients may also have volumes instead.
    """
    if not (sheets.slides or sheets.omics or sheets.images):
        return []
    measured: set[str] = set()
    for sheet in (sheets.slides, sheets.images):
        measured |= set(sheet.rows["patient_id"]) if sheet else set()
    if sheets.omics:
        ids = set(sheets.omics.ids.rows["patient_id"])
        measured |= ids
        if ids.isdisjoint(sheets.patients.rows["patient_id"]):
            problem = "no row belongs to a patient of the patient sheet"
            remedy = "use the same ids in both sheets"
            return [sheets.omics.ids.problem(None, "patient_id", problem, remedy)]
    fault, remedy = "has neither slides nor genes", "add a slide or a row of genes"
    if sheets.images:
        fault, remedy = "has neither slides, genes nor volumes", "add some"
    return [
        sheets.patients.problem(
            row, "patient_id", fault, remedy + ", or remove the patient", patient
        )
        for row, patient in cells_of(sheets.patients, "patient_id")
        if patient not in measured
    ]


def clinical_table(patients: Sheet, config: Config) -> pd.DataFrame:
    """The inputs of the patient sheet: id, site, covariates. The outcome stays behind."""
    columns = {"patient_id": patients.rows["patient_id"]}
    if config.cohort.site:
        columns["site"] = patients.rows[config.cohort.site]
    columns |= {name: patients.rows[name] for name in config.cohort.covariates}
    return pd.DataFrame(columns).sort_values("patient_id", ignore_index=True)


def notes(sheets: Sheets, config: Config) -> list[str]:
    """Sentences about what is unusual but not wrong."""
    sentences = []
    if sheets.omics:
        known = set(sheets.patients.rows["patient_id"])
        foreign = sum(patient not in known for patient in sheets.omics.ids.rows["patient_id"])
        if foreign:
            sentences.append(
                f"Rows of the gene matrix that belong to no patient and are ignored: {foreign}."
            )
    for name in config.cohort.covariates:
        values = set(sheets.patients.rows[name]) - {""}
        if len(values) == 1:
            sentences.append(f"The covariate {name} has the same value for all patients.")
    return sentences
