"""Which prepared volume stands for a patient's MRI and PET."""

from __future__ import annotations

from pathlib import Path

from survfuse.config_imaging import IMAGES
from survfuse.imaging.store import read_manifest
from survfuse.manifest import OK


def chosen_tensors(manifest: Path, visit: str | None = None) -> dict[str, dict[str, Path]]:
    """Tensor of every patient's `mri` and `pet`, as modality -> patient -> file.

    Looked for at `visit`, by default at the first of the patient's visits in alphabetical order,
    quarantined volumes included: of its usable volumes, the first in the order of MRI or PET.
    """
    rows = read_manifest(manifest)
    first: dict[str, str] = {}
    for row in rows:
        first[row.patient_id] = min(row.visit, first.get(row.patient_id, row.visit))
    usable = {
        (row.patient_id, row.modality): manifest.parent / row.tensor
        for row in rows
        if row.status == OK and row.visit == (visit or first[row.patient_id])
    }
    chosen: dict[str, dict[str, Path]] = {}
    for kind, modalities in IMAGES.items():
        chosen[kind] = {}
        for patient in sorted(first):
            at_hand = [usable[patient, name] for name in modalities if (patient, name) in usable]
            if at_hand:
                chosen[kind][patient] = at_hand[0]
    return chosen
