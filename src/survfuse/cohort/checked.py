"""The sheets as they were read, and the cohort that they are together."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from survfuse.cohort.exclusions import excluded_table
from survfuse.config.study import Config
from survfuse.modalities.loading import modality
from survfuse.modalities.omics.sheet import OmicsSheet
from survfuse.modalities.registry import BY_PLACE
from survfuse.modalities.volumes.sheet import COLUMNS as IMAGE_COLUMNS
from survfuse.sheets.problems import Note
from survfuse.sheets.text_table import Sheet


def no_images() -> pd.DataFrame:
    """The volumes of a cohort without an image sheet."""
    return pd.DataFrame(columns=list(IMAGE_COLUMNS), dtype=object)


def nobody() -> pd.DataFrame:
    """The patients who are left out where none is."""
    return excluded_table([])


@dataclass(frozen=True)
class Cohort:
    """A checked cohort; frames are sorted by id, whatever the order in the sheets.

    outcomes: `patient_id, time_months, event` (1 = observed), for a diagnosis also `label` or, by a
    column, `label` alone (-1 = unknown).
    clinical: `patient_id`, `site` if configured, covariates; raw text, "" = missing. No outcome.
    slides: `slide_id, patient_id, path, mpp, features`; text, absolute paths, "" = missing.
    images: `patient_id, visit, modality, path, mask, reference, registration`; likewise.
    omics_ids: patients of the cohort that have a row in the gene matrix.
    tables: features (float, NaN = missing) by modality, indexed by patient id, without empty rows.
    genes: number of measured columns per data type; gene_columns: all their names.
    folds: published folds `patient_id, fold`, or None.
    notes: what is unusual but not wrong.
    excluded: patients of the sheet who are left out, `patient_id, reason`; nothing else has them.
    """

    outcomes: pd.DataFrame
    clinical: pd.DataFrame
    slides: pd.DataFrame
    omics_ids: frozenset[str]
    genes: dict[str, int]
    folds: pd.DataFrame | None
    notes: tuple[Note, ...]
    images: pd.DataFrame = field(default_factory=lambda: no_images())
    gene_columns: tuple[str, ...] = ()
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    excluded: pd.DataFrame = field(default_factory=lambda: nobody())

    @property
    def sites(self) -> pd.Series[str] | None:
        """Site by patient id, where sites are configured."""
        by_patient = self.clinical.set_index("patient_id")
        return by_patient.get("site")

    def available(self, config: Config) -> pd.DataFrame:
        """Who has what: clinical data, slides and genes, and of others what is brought."""
        ids = pd.Index(self.clinical["patient_id"], name="patient_id")
        having = {name: modality(name).in_sheets(self, config) for name in BY_PLACE}
        return pd.DataFrame(
            {name: ids.isin(list(who)) for name, who in having.items() if who is not None},
            index=ids,
        )


@dataclass(frozen=True)
class Sheets:
    """The sheets as far as they could be read; None where not configured or not readable."""

    patients: Sheet | None
    slides: Sheet | None
    images: Sheet | None
    omics: OmicsSheet | None
    folds: Sheet | None
    tables: dict[str, Sheet] = field(default_factory=dict)  # by modality

    @property
    def known(self) -> frozenset[str] | None:
        """The ids of the patient sheet."""
        return frozenset(self.patients.rows["patient_id"]) if self.patients else None
