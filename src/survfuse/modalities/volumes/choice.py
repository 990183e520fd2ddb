"""Which prepared volume stands for a patient's MRI and PET."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from survfuse.artifacts.manifest import OK
from survfuse.config.imaging import IMAGES
from survfuse.core.files import require_unchanged
from survfuse.modalities.volumes.store import read_manifest
from survfuse.modalities.volumes.visits import first_visit


def require_written(manifest: Path, tensors: Iterable[Path]) -> None:
    """Raise UserInputError unless tensors of the manifest are those that were prepared."""
    recorded = {manifest.parent / row.tensor: row.tensor_sha256 for row in read_manifest(manifest)}
    for tensor in tensors:
        require_unchanged(tensor, recorded[tensor], manifest, "prepare the images again")


def chosen_tensors(manifest: Path, visit: str | None = None) -> dict[str, dict[str, Path]]:
    """Tensor of every patient's `mri` and `pet`, as modality -> patient -> file.

    Looked for at `visit`, by default at the first of the patient's visits (`visit_order`),
    quarantined volumes included: of its usable volumes, the first in the order of MRI or PET.
    """
    rows = read_manifest(manifest)
    first: dict[str, str] = {}
    for row in rows:
        known = first.get(row.patient_id, row.visit)
        first[row.patient_id] = first_visit((row.visit, known))
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
