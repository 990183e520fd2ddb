"""The sheets as they were read, and the cohort that they are together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from survfuse.cohort.exclusions import excluded_table
from survfuse.config.study import Config
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import BY_PLACE
from survfuse.sheets.problems import Note
from survfuse.sheets.text_table import Sheet


def nobody() -> pd.DataFrame:
    """The patients who are left out where none is."""
    return excluded_table([])


@dataclass(frozen=True)
class Cohort:
    """A checked cohort; frames are sorted by id, whatever the order in the sheets.

    outcomes: `patient_id` and the outcome columns of the task: for survival `time_months` and
    `event` (1 = observed), for a diagnosis also `label` or, by a column, `label` alone
    (-1 = unknown).
    clinical: `patient_id`, `site` if configured, covariates; raw text, "" = missing. No outcome.
    tables: what was brought of other modalities, by the key of `modalities.registry.SOURCES`.
    `slides`: `slide_id, patient_id, path, mpp, features`; text, absolute paths, "" = missing.
    `images`: `patient_id, visit, modality, path, mask, reference, registration`; likewise.
    `omics`: no column, a row for each patient of the cohort who has one in the gene matrix.
    Else features (float, NaN = missing). The latter two are indexed by patient id.
    facts: what cohort.json says of the sheets besides.
    folds: published folds `patient_id, fold`, or None.
    notes: what is unusual but not wrong.
    excluded: patients of the sheet who are left out, `patient_id, reason`; nothing else has them.
    """

    outcomes: pd.DataFrame
    clinical: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    facts: Mapping[str, Any]
    folds: pd.DataFrame | None
    notes: tuple[Note, ...]
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
    folds: Sheet | None
    brought: Mapping[str, Any]  # what is readable of others, by the key of SOURCES

    @property
    def known(self) -> frozenset[str] | None:
        """The ids of the patient sheet."""
        return frozenset(self.patients.rows["patient_id"]) if self.patients else None
