"""The class of every patient, where a diagnosis is predicted instead of survival."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survfuse.config.cohort import Endpoint
from survfuse.sheets.endpoint import parse_follow_up
from survfuse.sheets.problems import Problem
from survfuse.sheets.text_table import Sheet, cells_of
from survfuse.tasks.diagnosis.classes import UNKNOWN, conversion_label
from survfuse.tasks.diagnosis.section import DiagnosisConfig


def read_labels(
    sheet: Sheet, endpoint: Endpoint, diagnosis: DiagnosisConfig
) -> tuple[pd.DataFrame, list[Problem]]:
    """Outcomes by spreadsheet row, and the problems of their columns.

    At a horizon as from `parse_follow_up`, and `label`; by a column `label` alone.
    """
    if diagnosis.horizon_months is None:
        return parse_labels(sheet, diagnosis)
    outcomes, problems = parse_follow_up(sheet, endpoint)
    outcomes["label"] = label_of(outcomes, diagnosis.horizon_months)
    return outcomes, problems


def label_of(outcomes: pd.DataFrame, horizon_months: float) -> NDArray[np.int64]:
    """`conversion_label` of a frame with the columns time_months and event."""
    return conversion_label(
        outcomes["time_months"].to_numpy(dtype=float),
        outcomes["event"].to_numpy() == 1,
        horizon_months,
    )


def parse_labels(sheet: Sheet, diagnosis: DiagnosisConfig) -> tuple[pd.DataFrame, list[Problem]]:
    """The column `label` by spreadsheet row, from the column of the classes; and its problems."""
    assert diagnosis.column is not None, "a diagnosis at a horizon has no column"
    number = {name: position for position, name in enumerate(diagnosis.classes)} | {"": UNKNOWN}
    remedy = f"write one of {', '.join(diagnosis.classes)}, or leave it empty where not known"
    labels, problems = [], []
    for row, text in cells_of(sheet, diagnosis.column):
        labels.append(number.get(text, UNKNOWN))
        if text not in number:
            problems.append(
                sheet.problem(row, diagnosis.column, "is none of the classes", remedy, text)
            )
    return pd.DataFrame({"label": labels}, index=sheet.rows.index), problems
