"""The table of synthesised volumes of one fold: the one place that knows how it is written.

`synthetic.tsv` has the columns patient_id, modality (mri or pet, what was synthesised), tensor, a
path relative to its folder, and sha256, of the tensor's file.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from pathlib import Path

from survfuse.artifacts.layout import SynthesisFolder
from survfuse.config.imaging import IMAGES
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, require_unchanged, sha256_file

COLUMNS = ["patient_id", "modality", "tensor", "sha256"]


def write_synthetic(folder: Path, made: Iterable[tuple[str, str, Path]]) -> None:
    """Write (patient, modality, tensor relative to the folder) of all volumes that were made."""
    table = SynthesisFolder(folder).table
    with atomic_path(table) as temporary, temporary.open("w", encoding="utf-8") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*row, sha256_file(folder / row[2])) for row in sorted(made))


def synthetic_paths(folder: Path) -> dict[str, dict[str, Path]]:
    """Tensors of synthesised volumes by modality and patient.

    Raises UserInputError where the table is not there, or is something else.
    """
    found: dict[str, dict[str, Path]] = {image: {} for image in IMAGES}
    for row in rows_of(folder):
        found[row["modality"]][row["patient_id"]] = folder / row["tensor"]
    return found


def unchanged_synthetic(
    folder: Path, patient_ids: Collection[str] | None = None
) -> dict[str, dict[str, Path]]:
    """As `synthetic_paths`, of all patients or of some, and each the tensor that was made.

    Raises UserInputError where one was changed.
    """
    found: dict[str, dict[str, Path]] = {image: {} for image in IMAGES}
    for row in rows_of(folder):
        if patient_ids is not None and row["patient_id"] not in patient_ids:
            continue
        tensor = folder / row["tensor"]
        table = SynthesisFolder(folder).table
        require_unchanged(tensor, row["sha256"], table, "run synthesise for this fold again")
        found[row["modality"]][row["patient_id"]] = tensor
    return found


def recorded_hashes(folder: Path) -> list[tuple[str, ...]]:
    """Patient, modality and SHA-256 of every volume that was made."""
    rows = rows_of(folder)
    return sorted((row["patient_id"], f"made {row['modality']}", row["sha256"]) for row in rows)


def rows_of(folder: Path) -> list[dict[str, str]]:
    """The rows of the table; `sha256` is empty where an earlier version did not write it."""
    path = SynthesisFolder(folder).table
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle, delimiter="\t")
            if reader.fieldnames not in (COLUMNS, COLUMNS[:-1]):
                raise UserInputError(f"{path}: is no table of synthesised volumes; run again")
            rows = [{"sha256": "", **row} for row in reader]
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such table; run synthesise for this fold") from None
    if any(row["modality"] not in IMAGES for row in rows):
        raise UserInputError(f"{path}: is no table of synthesised volumes; run again")
    return rows
