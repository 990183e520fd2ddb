"""Pictures of the brain volumes of new patients, from what was prepared of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from survfuse.artifacts.package import Package
from survfuse.core.messages import marked
from survfuse.deployment.inputs import NewInputs
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.volumes.modality import paths_of
from survfuse.modalities.volumes.store import VolumeStatus, read_manifest, read_tensor
from survfuse.reporting.new_patients.images import NewPicture
from survfuse.reporting.parts import attempt
from survfuse.reporting.pictures import volumes

FACE = marked(
    "Not shown: the brain was not cut out of this volume or of the one that it was made from, so "
    "that it may show a face."
)
NOT_DRAWN = marked("The picture could not be drawn.")

Pictures = Mapping[str, list[NewPicture]]


def pictures_of(package: Package, new: NewInputs, seen: CohortInputs) -> Pictures:
    """By patient, the volumes that the row reads, in the order of the modalities.

    seen: what a model of the row read, with what was synthesised. A picture that cannot be drawn
    costs nothing else.
    """
    found: dict[str, list[NewPicture]] = {patient: [] for patient in new.patients.ids}
    shown = [
        name
        for name in MODALITIES
        if name in package.record["reads"] and MODALITIES[name].is_volume
    ]
    own = {name: paths_of(new.inputs.stores.get(name)) for name in shown}
    made = {name: paths_of(seen.synthetic.get(name)) for name in shown}
    statuses = statuses_of(new)
    for patient, pictures in found.items():
        for name in shown:
            path = own[name].get(patient)
            if synthetic := path is None:
                path = made[name].get(patient)
            if path is None:
                continue
            source = MODALITIES[name].made_from if synthetic else name
            sources = paths_of(new.inputs.stores.get(source))
            uri, why = drawn(package, path, statuses.get(sources.get(patient)), synthetic)
            pictures.append(NewPicture(name, synthetic, uri, why))
    return found


def statuses_of(new: NewInputs) -> dict[Path | None, VolumeStatus]:
    """The rows of the manifest of volumes by the file that models read."""
    sources = {entry.source for entry in MODALITIES.values() if entry.is_volume}
    return {
        path.parent / status.tensor: status
        for path in {new.paths.files[source] for source in sources & new.paths.files.keys()}
        for status in read_manifest(path)
    }


def drawn(
    package: Package, path: Path, status: VolumeStatus | None, synthetic: bool
) -> tuple[str | None, str]:
    """A picture as data URI, or why there is none. `status`: of the volume with the same mask."""
    config = package.config
    if status is None or not volumes.may_be_shown(config, status):
        return None, FACE
    draw = partial(volumes.three_planes, synthetic=synthetic, display=config.imaging.display)
    uri = attempt("new patients", f"picture of {path.name}", lambda: draw(read_tensor(path)),
                  None, [])  # fmt: skip
    return uri, "" if uri else NOT_DRAWN
