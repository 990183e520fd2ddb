"""What the sheets of a cohort hold: its outcome, site and covariates, as far as they tell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pandas as pd

from survfuse.config.cohort import CohortConfig
from survfuse.core.errors import UserInputError
from survfuse.init.columns import Column, Variable, columns_of, is_missing, variable_of
from survfuse.init.diagnosis import Label, find_label
from survfuse.init.endpoint import Endpoint, find_endpoint, is_outcome
from survfuse.init.leaderboard import FEWEST_WITH_SLIDES, Inputs, single_rows
from survfuse.init.sheets import Genes, Images, Slides
from survfuse.sheets.leaks import leak_of_cells
from survfuse.sheets.text_table import Sheet
from survfuse.tasks.loading import task_of

SITES = {"site", "center", "centre", "hospital", "institution", "institute", "clinic", "tss"}
LATER = {"treatment", "treatments", "therapy", "chemotherapy", "radiotherapy", "response"}
EARLIER = {"prior", "previous", "before", "neoadjuvant"}
NO_CLINICAL_MODEL = (
    "covariates: no column can be one, so the leaderboard has no clinical model, with which all "
    "others are compared; add what was known at the start, e.g. age or stage"
)
BESIDE_SITE = {"id", "code", "name", "source", "tissue", "treating", "study"}


@dataclass(frozen=True)
class Named:
    """Columns that the person names, and the value of an observed event."""

    time: str | None = None
    event: str | None = None
    event_value: str | None = None
    diagnosis: str | None = None


@dataclass
class Summary:
    """What is said at the end: what was decided, and what only a person can check."""

    decided: list[str] = field(default_factory=list)
    check: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Cohort:
    """The sheets, and what their columns were taken for."""

    sheet: Sheet
    endpoint: Endpoint | None
    label: Label | None
    outcomes: pd.DataFrame  # time_months and event, or label; by spreadsheet row
    site: str | None
    variables: list[Variable]
    slides: Slides | None
    genes: Genes | None
    images: Images | None


def look_at(
    sheet: Sheet,
    named: Named,
    slides: Slides | None,
    genes: Genes | None,
    images: Images | None,
    summary: Summary,
) -> Cohort:
    """What the columns of the patient sheet are, with the outcome that was found."""
    columns = columns_of(sheet)
    wants_label = named.diagnosis is not None or (images is not None and named.time is None)
    label = find_label(columns, named.diagnosis) if wants_label else None
    endpoint = None
    if label is None:
        endpoint = find_endpoint(columns, named.time, named.event, named.event_value)
    if label is None and endpoint is None:
        listed = ", ".join(column.name for column in columns[:20])
        raise UserInputError(
            f"{sheet.path}: no two columns look like a follow-up time and an event; say --time "
            f"COLUMN --event COLUMN, or --diagnosis COLUMN. The columns are: {listed}"
        )
    config = outcome_config(endpoint, label)
    outcomes, _ = task_of(config).read_outcomes(sheet, config)
    site = site_of(columns)
    used = {site, *((endpoint.time, endpoint.event) if endpoint else ())}
    used |= {label.column} if label else set()
    variables = [
        variable_at_start(column, outcomes) for column in columns if column.name not in used
    ]
    if endpoint:
        summary.check += endpoint.notes
    if label:
        summary.check.append(
            f"diagnosis: column {label.column}, of {', '.join(label.classes)}; of two the second "
            "is looked for"
        )
    cohort = Cohort(sheet, endpoint, label, outcomes, site, variables, slides, genes, images)
    if not inputs_of(cohort).clinical:
        summary.check.append(without_covariates(cohort))
    return cohort


def without_covariates(cohort: Cohort) -> str:
    """The warning about a leaderboard without a clinical model.

    Raises UserInputError where nothing else can be read in its place.
    """
    if single_rows(inputs_of(cohort)):
        return NO_CLINICAL_MODEL
    reasons = "; ".join(f"{one.name} {one.reason}" for one in cohort.variables) or "there are none"
    raise UserInputError(
        f"{cohort.sheet.path}: no column can be a covariate, and there are no genes, no MRI, and "
        f"no slides of {FEWEST_WITH_SLIDES} patients to read without; add e.g. age or stage. The "
        f"other columns: {reasons}"
    )


def outcome_config(endpoint: Endpoint | None, label: Label | None) -> CohortConfig:
    """The section that reads the outcome as it was found."""
    found: dict[str, object] = {}
    if endpoint:
        found["endpoint"] = {
            "time": endpoint.time,
            "event": endpoint.event,
            "event_value": endpoint.event_value,
            "censored_value": endpoint.censored_value,
            "time_unit": endpoint.unit,
        }
    if label:
        found["diagnosis"] = {"column": label.column, "classes": list(label.classes)}
    return CohortConfig.model_validate(found)


def site_of(columns: list[Column]) -> str | None:
    """The column of the centre, where every patient has one and centres have several patients."""
    for column in columns:
        groups = 2 <= len(column.distinct) <= len(column.cells) / 2
        named = column.tokens & SITES and column.tokens <= SITES | BESIDE_SITE
        if named and groups and len(column.filled) == len(column.cells):
            return column.name
    return None


def variable_at_start(column: Column, outcomes: pd.DataFrame) -> Variable:
    """A column as a covariate, left out where it may be known only with the outcome."""
    if column.name == "site":
        return Variable(column.name, reason="is empty for some patients, or another for each")
    if is_outcome(column):
        return Variable(column.name, reason="may be an outcome, or known only with it")
    known = (outcomes >= 0).all(axis=1) if "event" in outcomes else outcomes["label"] >= 0
    cells = [
        "" if is_missing(cell) else cell
        for cell, there in zip(column.cells, known, strict=True)
        if there
    ]
    if copy := leak_of_cells(cells, outcomes[known]):
        return Variable(column.name, reason=copy)
    found = variable_of(column)
    later = column.tokens & LATER and not column.tokens & EARLIER
    if later and not found.reason:
        return replace(found, reason="may be known only after the prediction is made")
    return found


def inputs_of(cohort: Cohort) -> Inputs:
    """How many patients of the sheet have what."""
    known = set(cohort.sheet.rows["patient_id"])
    slides, genes, images = cohort.slides, cohort.genes, cohort.images
    return Inputs(
        patients=len(known),
        clinical=not all(variable.reason for variable in cohort.variables),
        site=cohort.site is not None,
        slides=len(slides.patients & known) if slides else 0,
        omics=len(genes.patients & known) if genes else 0,
        mri=len(images.mri & known) if images else 0,
        pet=len(images.pet & known) if images else 0,
    )
