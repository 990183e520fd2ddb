"""What is known when the sheet of a modality is checked, and what a cohort keeps of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from survfuse.config.study import Config
from survfuse.sheets.text_table import Sheet


@dataclass(frozen=True)
class CheckedPatients:
    """The patients, as far as their sheet could be read and is sound.

    sheet: of the patients. outcomes: of all of them, indexed like the sheet; None where it does not
    give them. read: the modalities that rows of the leaderboard read.
    """

    sheet: Sheet | None
    outcomes: pd.DataFrame | None
    read: Collection[str]

    @property
    def ids(self) -> frozenset[str] | None:
        """The ids of the patient sheet."""
        return frozenset(self.sheet.rows["patient_id"]) if self.sheet else None

    def outcomes_by_id(self) -> pd.DataFrame | None:
        """The outcomes, indexed by patient id."""
        if self.sheet is None or self.outcomes is None:
            return None
        return self.outcomes.set_index(pd.Index(self.sheet.rows["patient_id"]))


@dataclass(frozen=True)
class Preparation:
    """How the files of some patients are prepared in this process.

    patient_ids: of all who are listed. threads: files worked on at a time. device: auto, cpu, cuda.
    """

    config: Config
    patient_ids: Sequence[str]
    threads: int = 1
    device: str = "auto"


@dataclass(frozen=True)
class Brought:
    """What a cohort keeps of a sheet.

    table: one row for each file, with a column `patient_id`; or one for each patient, by whose id
    it is indexed then. facts: what cohort.json says of it.
    """

    table: pd.DataFrame
    facts: Mapping[str, Any] = field(default_factory=dict)
