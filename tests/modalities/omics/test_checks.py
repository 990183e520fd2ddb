"""Whose rows a gene matrix has: problems where nobody's are, notes where some are of nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.modalities.omics.checks import check_rows
from survfuse.modalities.omics.sheet import OmicsSheet
from survfuse.sheets.text_table import Sheet


def matrix(*ids: str) -> OmicsSheet:
    frame = pd.DataFrame({"patient_id": list(ids)}, index=range(2, 2 + len(ids)))
    return OmicsSheet(Sheet(Path("genes.csv"), frame), ("G1",), np.zeros((len(ids), 1)))


def test_rows_of_some_strangers_are_noted() -> None:
    problems, (note,) = check_rows(matrix("A", "B", "X"), ["A", "B"])
    assert problems == []
    assert note.sentence.endswith("are ignored: 1.")
    assert check_rows(matrix("A", "B"), ["A", "B", "C"]) == ([], [])


def test_rows_of_nobody_else_than_strangers_are_a_problem() -> None:
    (problem,), notes = check_rows(matrix("X", "Y"), ["A"])
    assert problem.problem == "no row belongs to a patient of the patient sheet"
    assert notes == []


def test_a_patient_has_one_row_also_where_the_patient_sheet_is_not_readable() -> None:
    problems, notes = check_rows(matrix("A", "A"), None)
    assert len(problems) == 1 and notes == []
    assert problems[0].column == "patient_id"
