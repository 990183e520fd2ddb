"""Whether a gene matrix is of the patients and holds what it may: no outcome, one usable scale."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from survfuse.config.omics import OmicsConfig
from survfuse.modalities.omics.column_names import name_notes, outcome_names
from survfuse.modalities.omics.leaks import check_gene_leaks
from survfuse.modalities.omics.patients import patient_notes
from survfuse.modalities.omics.scale import check_transform, scale_notes
from survfuse.modalities.omics.sheet import OmicsSheet, of_patients, type_of_columns
from survfuse.sheets.problems import Note, Problem
from survfuse.sheets.similar_ids import hint
from survfuse.sheets.text_table import Sheet, check_unique


def check_genes(
    sheet: OmicsSheet, patients: Sheet, outcomes: pd.DataFrame, config: OmicsConfig
) -> tuple[list[Problem], list[Note]]:
    """Problems that stop a run, and what is unusual.

    outcomes: of all patients, indexed like the patient sheet and free of problems. Rows of no
    patient and columns of no data type are not read by any model, and not looked at here.
    """
    used = cohort_part(sheet, patients, config)
    if used is None:
        return [], list(sheet.ids.notes)
    problems = check_gene_leaks(used, patients, outcomes)
    copies = {problem.column for problem in problems}
    problems += [
        problem for problem in outcome_names(used, config.suffixes) if problem.column not in copies
    ]
    problems += check_transform(used, config)
    place = "column" if config.orientation == "genes_in_rows" else "row"
    notes = [*sheet.ids.notes, *name_notes(used, config.suffixes)]
    return problems, [*notes, *scale_notes(used, config), *patient_notes(used, place)]


def cohort_part(sheet: OmicsSheet, patients: Sheet, config: OmicsConfig) -> OmicsSheet | None:
    """The rows of patients and the columns of data types; None where there are none."""
    kinds = type_of_columns(sheet.columns, config.suffixes)
    columns = np.array([kind is not None for kind in kinds], dtype=bool)
    part = of_patients(sheet, patients.rows["patient_id"])
    if part.ids.rows.empty or not columns.any():
        return None
    names = tuple(name for name, kept in zip(sheet.columns, columns, strict=True) if kept)
    return OmicsSheet(part.ids, names, part.values if columns.all() else part.values[:, columns])


def check_rows(
    sheet: OmicsSheet, patient_ids: Collection[str] | None
) -> tuple[list[Problem], list[Note]]:
    """Patients who are twice, and rows of nobody: all are a problem, some are noted.

    patient_ids: of the patient sheet; None where it could not be read.
    """
    ids = sheet.ids
    problems = check_unique(ids, "patient_id")
    foreign = [patient for patient in ids.rows["patient_id"] if patient not in (patient_ids or ())]
    if patient_ids is None or not foreign:
        return problems, []
    alike = hint(foreign, patient_ids)
    if len(foreign) == len(ids.rows):
        fault = "no row belongs to a patient of the patient sheet"
        remedy = "use the same ids in both sheets" + (f"; {alike}" if alike else "")
        return [*problems, ids.problem(None, "patient_id", fault, remedy)], []
    sentence = f"Rows of the gene matrix that belong to no patient and are ignored: {len(foreign)}."
    return problems, [Note(str(ids.path), sentence, None, alike)]
