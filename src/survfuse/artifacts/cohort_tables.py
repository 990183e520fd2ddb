"""The tables of the cohort directory: plain TSV, written atomically, read back as typed frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from survfuse.artifacts.layout import CohortFolder
from survfuse.artifacts.outcome_columns import columns_by_task, columns_in
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, read_text_table


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as TSV with a header; missing values become empty cells."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, sep="\t", index=False, lineterminator="\n", encoding="utf-8")


def read_outcomes(path: Path) -> pd.DataFrame:
    """outcomes.tsv: `patient_id` (text) and the outcome columns of the task, as numbers.

    For survival `time_months` and `event` (0 or 1); for a diagnosis `label` (-1 = unknown), with or
    without the follow-up.
    """
    return typed_outcomes(path, read_text_table(path, ["patient_id"]))


def typed_outcomes(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """The outcome columns of a table as numbers. Raises UserInputError where there are none."""
    if (declared := columns_in(frame)) is None:
        known = ", or ".join(" and ".join(one.types) for one in columns_by_task().values())
        raise UserInputError(
            f"{path}: has no outcome, which is {known}; run the stage that writes it"
        )
    return frame.astype(declared.present(frame))


def read_clinical(path: Path) -> pd.DataFrame:
    """clinical.tsv: `patient_id`, `site` if configured, covariates; all text, "" = missing."""
    return read_text_table(path, ["patient_id"])


def read_slides(path: Path) -> pd.DataFrame:
    """slides.tsv of the cohort: `slide_id, patient_id, path, mpp, features`; all text."""
    return read_text_table(path, ["slide_id", "patient_id", "path", "mpp", "features"])


def read_images(path: Path) -> pd.DataFrame:
    """images.tsv of the cohort: who, when, what, and the paths of its files; all text."""
    columns = ["patient_id", "visit", "modality", "path", "mask", "reference", "registration"]
    return read_text_table(path, columns)


def write_features(path: Path, frame: pd.DataFrame) -> None:
    """Write a table of features: float, NaN = missing, indexed by patient id."""
    write_table(path, frame.rename_axis("patient_id").reset_index())


def write_brought(folder: CohortFolder, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write what is kept of the sheets of modalities, of which there is something to keep.

    tables: by the key of `modalities.registry.SOURCES`, see `cohort.checked.Cohort`.
    """
    for source, table in tables.items():
        if len(table.columns):
            path = folder.brought(source)
            (write_table if "patient_id" in table else write_features)(path, table)


def read_features(path: Path) -> pd.DataFrame:
    """A table of features, as `write_features` had it."""
    frame = read_text_table(path, ["patient_id"]).set_index("patient_id")
    return frame.replace("", "nan").astype(float)


def read_availability(path: Path) -> pd.DataFrame:
    """availability.tsv: bool columns by modality, indexed by patient id."""
    frame = read_text_table(path, ["patient_id"])
    return frame.set_index("patient_id") == "1"
