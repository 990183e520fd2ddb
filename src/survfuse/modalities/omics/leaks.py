"""Columns of a gene matrix that repeat the outcome under another name.

`survfuse.sheets.leaks` decides; here tens of thousands of columns are reduced to those that it
could name, by a sample of the patients. A copy of the time stays one in any part of the patients,
while no gene comes near that by chance.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survfuse.artifacts.outcome_columns import columns_of
from survfuse.modalities.omics.sheet import OmicsSheet
from survfuse.sheets.leaks import BLOCK, FEW_VALUES, leaks_of_block, times_of
from survfuse.sheets.problems import Problem
from survfuse.sheets.text_table import Sheet

SAMPLED = 150  # patients; rank correlations of 150 have a standard error of 0.08 and less
WORTH_A_LOOK = 0.7  # |rank correlation| in the sample; copies have 0.9 among all
REMEDY = "remove it: a model must not read the outcome"


def check_gene_leaks(sheet: OmicsSheet, patients: Sheet, outcomes: pd.DataFrame) -> list[Problem]:
    """Problems of columns that give the outcome away.

    All rows of `sheet` belong to patients. outcomes: indexed like the patient sheet. Repeated ids
    are passed over; they are problems of their own.
    """
    by_patient = outcomes.set_index(pd.Index(patients.rows["patient_id"]))
    by_patient = by_patient[~by_patient.index.duplicated(keep=False)]
    by_patient = by_patient[columns_of(by_patient).sound(by_patient)]
    ids = sheet.ids.rows["patient_id"]
    known = ids.isin(by_patient.index).to_numpy(dtype=bool)
    values = sheet.values if known.all() else sheet.values[known]
    found = leaks_of_matrix(values, by_patient.loc[ids[known]])
    return [
        sheet.ids.problem(None, sheet.columns[position], clause, REMEDY)
        for position, clause in found.items()
    ]


def leaks_of_matrix(values: NDArray[np.float32], outcomes: pd.DataFrame) -> dict[int, str]:
    """`leaks_of_numbers` for a wide matrix (n, p): a clause by the position of the column."""
    looked_at = np.flatnonzero(worth_a_look(values, outcomes))
    found: dict[int, str] = {}
    for start in range(0, len(looked_at), BLOCK):
        part = looked_at[start : start + BLOCK]
        clauses = leaks_of_block(values[:, part].astype(np.float64), outcomes, values.shape[1])
        found |= {int(part[position]): clause for position, clause in clauses.items()}
    return found


def worth_a_look(values: NDArray[np.float32], outcomes: pd.DataFrame) -> NDArray[np.bool_]:
    """Columns (p,) with empty cells, with few values, or in the order of the times in a sample."""
    rng = np.random.default_rng(0)  # a random order of rows breaks ties without favour
    some = rng.permutation(len(values))[:SAMPLED]
    chosen = np.isnan(values).any(axis=0)
    ordered = np.sort(values[some], axis=0)
    chosen |= 1 + (np.diff(ordered, axis=0) > 0).sum(axis=0) <= FEW_VALUES
    if (times := times_of(outcomes)) is None:
        return chosen
    time, event, _ = times
    had_event = np.flatnonzero(event)
    for rows in (some, rng.permutation(had_event)[:SAMPLED]):
        if len(rows) > 2:
            ranks, of_time = ranked(values[rows]), ranked(time[rows])
            correlation = of_time @ ranks / (of_time @ of_time)
            chosen |= np.abs(correlation) >= WORTH_A_LOOK
    return chosen


def ranked(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Ranks of every column, less their mean; ties in the order of the rows."""
    ranks = values.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return (ranks - (len(values) - 1) / 2).astype(np.float32)
