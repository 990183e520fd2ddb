"""Patients of a gene matrix whose values cannot be right: constant, copied, hardly measured."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from survfuse.modalities.omics.sheet import OmicsSheet
from survfuse.sheets.problems import Note

FEW_VALUES = 10  # distinct values; with fewer, tables of mutations are alike by chance
MANY_MISSING = 0.5  # share of a patient's genes ...
USUAL_MISSING = 0.2  # ... where the median patient has at most this share
MANY_ZERO = 0.2  # share of genes that are zero in every patient
LEAST_GENES = 3  # to call a patient's values constant
REPEATED = "check that no sample was entered under two patients"


def patient_notes(sheet: OmicsSheet, place: str) -> list[Note]:
    """Notes on rows of a matrix, and on genes that nobody expresses.

    `place` is what `ids` numbers: "row" or, where the file has genes in rows, "column".
    """
    values, path = sheet.values, str(sheet.ids.path)
    numbers = sheet.ids.rows.index.tolist()
    missing = np.array([np.isnan(row).mean() for row in values])
    found: list[Note] = []

    def note(rows: Sequence[int], sentence: str, remedy: str) -> None:
        if rows:
            example = f"{len(rows)} in all, the first in {place} {numbers[rows[0]]}"
            found.append(Note(path, f"{sentence}.", example, remedy))

    unmeasured = np.flatnonzero(missing == 1).tolist()
    note(unmeasured, "Patients of the gene matrix without any measurement", "remove these patients")
    extreme = (missing > MANY_MISSING) & (missing < 1) & (np.median(missing) <= USUAL_MISSING)
    sentence = "Patients who lack more than half of the genes, where most lack few"
    note(np.flatnonzero(extreme).tolist(), sentence, "check these measurements")
    constant = [position for position, row in enumerate(values) if is_constant(row)]
    note(constant, "Patients whose genes all have the same value", "check these measurements")
    note(repeated_rows(sheet), "Patients with exactly the genes of an earlier patient", REPEATED)
    zero = int(np.count_nonzero((values == 0).all(axis=0)))
    if len(values) > 1 and zero > MANY_ZERO * values.shape[1]:
        sentence = f"Genes that are zero in every patient and are dropped: {zero} of "
        found.append(Note(path, f"{sentence}{values.shape[1]}.", None, "remove them, or see why"))
    return found


def is_constant(row: np.ndarray) -> bool:
    """Whether all measured values of a row (g,) are the same and enough."""
    measured = row[~np.isnan(row)]
    return measured.size >= LEAST_GENES and bool((measured == measured[0]).all())


def repeated_rows(sheet: OmicsSheet) -> list[int]:
    """Positions of rows that repeat an earlier one and hold enough different values."""
    seen: set[bytes] = set()
    repeated = []
    for position, row in enumerate(sheet.values):
        digest = hashlib.sha256(row.tobytes()).digest()
        if digest in seen and np.unique(row[~np.isnan(row)]).size >= FEW_VALUES:
            repeated.append(position)
        seen.add(digest)
    return repeated
