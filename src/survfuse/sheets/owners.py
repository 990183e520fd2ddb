"""Whether the rows of a sheet of slides or volumes belong to patients of the study."""

from __future__ import annotations

from collections.abc import Collection

from survfuse.sheets.problems import Problem
from survfuse.sheets.similar_ids import hint
from survfuse.sheets.text_table import Sheet, cells_of


def check_owners(sheet: Sheet, patient_ids: Collection[str] | None) -> list[Problem]:
    """Problems of rows whose patient is not in the patient sheet; None: it could not be read."""
    remedy = "add the patient there, correct the id, or remove the row"
    if patient_ids is not None:
        alike = hint(sheet.rows["patient_id"].tolist(), patient_ids)
        remedy += f"; {alike}" if alike else ""
    known = None if patient_ids is None else set(patient_ids)
    problems = []
    for row, text in cells_of(sheet, "patient_id"):
        if not text or (known is not None and text not in known):
            fault = "is not in the patient sheet" if text else "is empty"
            problems.append(sheet.problem(row, "patient_id", fault, remedy))
    return problems
