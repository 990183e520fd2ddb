"""The table of synthesised volumes of one fold: the one place that knows how it is written.

`synthetic.tsv` has the columns patient_id, modality (mri or pet, what was synthesised) and tensor,
a path relative to its folder.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from survfuse.config_imaging import IMAGES
from survfuse.errors import UserInputError
from survfuse.files import atomic_path

NAME = "synthetic.tsv"
COLUMNS = ["patient_id", "modality", "tensor"]


def write_synthetic(folder: Path, made: Iterable[tuple[str, str, Path]]) -> None:
    """Write (patient, modality, tensor relative to the folder) of all volumes that were made."""
    with atomic_path(folder / NAME) as temporary, temporary.open("w", encoding="utf-8") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(made))


def synthetic_paths(folder: Path) -> dict[str, dict[str, Path]]:
    """Tensors of synthesised volumes by modality and patient.

    Raises UserInputError where the table is not there, or is something else.
    """
    path = folder / NAME
    found: dict[str, dict[str, Path]] = {image: {} for image in IMAGES}
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle, delimiter="\t")
            if reader.fieldnames != COLUMNS:
                raise UserInputError(f"{path}: is no table of synthesised volumes; run again")
            for row in reader:
                found[row["modality"]][row["patient_id"]] = folder / row["tensor"]
    except (FileNotFoundError, KeyError):
        raise UserInputError(f"{path}: no such table; run synthesise for this fold") from None
    return found
