"""What a model saw of a patient's MRI and PET."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from survfuse.artifacts.layout import SynthesisFolder
from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.config.imaging import IMAGES
from survfuse.config.study import Config
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.volumes.modality import BrainVolume
from survfuse.modalities.volumes.store import Prepared, VolumeStatus, read_tensor
from survfuse.modalities.volumes.synthetic import synthetic_paths
from survfuse.modalities.volumes.visits import first_visit
from survfuse.reporting.inputs import RunData

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class ShownVolume:
    """What a model saw of a modality in one patient."""

    modality: str
    state: str  # present, synthetic, missing or quarantined
    status: VolumeStatus | None  # the volume of the sheet, usable or not
    prepared: Prepared | None  # what was shown, if its file is there
    source: VolumeStatus | None = None  # of a synthetic volume: what it was made from


def volumes_of(data: RunData) -> tuple[VolumeStatus, ...]:
    """The manifest of brain volumes; empty without."""
    found: tuple[VolumeStatus, ...] = data.brought.get(BrainVolume.source, ())
    return found


def volume_of(
    config: Config,
    data: RunData,
    patient_id: str,
    modality: str,
    synthesised: bool,
    fold: str,
    read: Callable[[Path], Prepared | None],
) -> ShownVolume:
    """What the model saw of `modality` (mri or pet) in a patient tested in `fold` (r0f3).

    `read` gives the voxels of a file, as `tensor_at` does, or None where no picture is wanted.
    """
    own = [v for v in volumes_of(data) if v.patient_id == patient_id]
    visit = config.imaging.visit or (first_visit(v.visit for v in own) if own else "")
    at_visit = [v for v in own if v.visit == visit]
    ranked = ranked_of(at_visit, modality)
    usable = [volume for volume in ranked if volume.status == OK]
    manifest = data.inputs.files.get(BrainVolume.source)
    if usable and manifest is not None:
        path = manifest.parent / usable[0].tensor
        return ShownVolume(modality, "present", usable[0], read(path))
    aside = next((volume for volume in ranked if volume.status == QUARANTINED), None)
    others = ranked_of(at_visit, MODALITIES[modality].made_from)
    source = next((volume for volume in others if volume.status == OK), None)
    if synthesised and (path_made := synthetic_path(data, patient_id, modality, fold)) is not None:
        return ShownVolume(modality, SYNTHETIC, aside, read(path_made), source)
    if synthesised and source is not None:
        return ShownVolume(modality, SYNTHETIC, aside, None, source)
    return ShownVolume(modality, "quarantined" if aside else "missing", aside, None)


def ranked_of(statuses: Sequence[VolumeStatus], modality: str) -> list[VolumeStatus]:
    """The volumes that may stand for a modality, in the order in which they do."""
    names = IMAGES[modality]
    mine = [volume for volume in statuses if volume.modality in names]
    return sorted(mine, key=lambda volume: names.index(volume.modality))


def tensor_at(path: Path) -> Prepared | None:
    """A prepared volume, None where its file is gone."""
    return read_tensor(path) if path.is_file() else None


def synthetic_path(data: RunData, patient_id: str, modality: str, fold: str) -> Path | None:
    """The tensor that stood in for a volume, if the fold lists one."""
    if data.inputs.synthesis is None:
        return None
    made = SynthesisFolder(data.inputs.synthesis / fold)
    return synthetic_paths(made.root)[modality].get(patient_id) if made.table.is_file() else None


def source_of(modality: str) -> str:
    """What a synthetic volume is made from, in words."""
    return MODALITIES[MODALITIES[modality].made_from].noun
