"""Patients of whom no model of a run reads anything."""

from __future__ import annotations

import pandas as pd

from survfuse.config.study import Config
from survfuse.modalities.registry import MODALITIES
from survfuse.models.specs import read_modalities

NO_INPUT = "no input that a model reads"
COLUMNS = ("patient_id", "reason")


def patients_without_inputs(available: pd.DataFrame, config: Config) -> list[str]:
    """Ids of the patients who have nothing that a row reads and the cohort brings.

    available: bool by modality, indexed by patient id. Rows that read the site alone leave nobody
    out: without anything else to read, no patient is.
    """
    read = [
        name
        for name in read_modalities(config)
        if name in available and MODALITIES[name].brought_by(config.cohort)
    ]
    if not read:
        return []
    return available.index[~available[read].any(axis=1)].tolist()


def excluded_table(ids: list[str]) -> pd.DataFrame:
    """The table of patients who are left out, with the reason."""
    return pd.DataFrame([(name, NO_INPUT) for name in sorted(ids)], columns=list(COLUMNS))
