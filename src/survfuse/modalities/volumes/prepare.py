"""The volumes of one visit from files to tensors.

The first MRI of a visit (T1 before others) is the anchor: it finds its way to the template, and the
other volumes find theirs to it. Every volume is interpolated once, from its file to the final grid.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.config.imaging import MRI, PET, ImagingConfig
from survfuse.core.files import sha256_file
from survfuse.modalities.volumes import store
from survfuse.modalities.volumes.bias import corrected, foreground
from survfuse.modalities.volumes.brain import Brain, find_brain, given_brain, size_ml
from survfuse.modalities.volumes.coverage import check_coverage
from survfuse.modalities.volumes.faults import (
    BadRegistration,
    NoBrain,
    UnreadableVolume,
    VolumeFault,
)
from survfuse.modalities.volumes.grid import resampled, resampled_mask, within
from survfuse.modalities.volumes.intensity import BACKGROUND, by_percentiles, by_reference
from survfuse.modalities.volumes.pictures import write_planes
from survfuse.modalities.volumes.placement import Anchor, Job, VolumeRow, check_overlap, place
from survfuse.modalities.volumes.reading.reader import read_volume
from survfuse.modalities.volumes.reference import seen_reference
from survfuse.modalities.volumes.store import HEAD, VolumeStatus
from survfuse.modalities.volumes.template import read_mask, read_region
from survfuse.modalities.volumes.volume import Array, Mask, Volume, inverse, to_ras

USUAL_VOXELS = 40_000_000  # of a head at 0.5 mm, for which a machine must have memory
ORDER = {modality: place for place, modality in enumerate((*MRI, *PET))}


def prepare_visit(
    rows: Sequence[VolumeRow], job: Job, fingerprints: dict[VolumeRow, str]
) -> list[VolumeStatus]:
    """Statuses of the volumes of one visit of a patient; their own faults end there."""
    statuses = []
    anchor: Anchor | None = None
    for row in sorted(rows, key=lambda row: ORDER[row.modality]):
        known: dict[str, Any] = {}
        paths = store.paths_of(row.patient_id, row.visit, row.modality)
        for stale in paths.values():  # of an earlier run, from other files or settings
            (job.out / stale).unlink(missing_ok=True)
        began = time.process_time()
        try:
            placed = prepare_volume(row, job, anchor, known)
            status = OK
            if anchor is None and row.modality in MRI:
                anchor = placed
        except VolumeFault as fault:
            known["reason"] = fault.reason
            status = QUARANTINED
            for name in ("volume", "tensor", "mask", "transform"):
                (job.out / paths[name]).unlink(missing_ok=True)
                known.pop(name, None)
        known["seconds"] = round(time.process_time() - began, 2)
        if status == OK:
            known["tensor_sha256"] = sha256_file(job.out / known["tensor"])
        done = VolumeStatus(row.patient_id, row.visit, row.modality, status, **known)
        store.write_record(job.out / paths["record"], done, fingerprints[row])
        statuses.append(done)
    return statuses


def prepare_volume(
    row: VolumeRow, job: Job, anchor: Anchor | None, known: dict[str, Any]
) -> Anchor:
    """Read a volume and write all files of it; `known` collects its row of the manifest.

    Raises a VolumeFault, MemoryError where memory is not enough for a volume of usual size.
    """
    volume = read_volume(row.path, job.config.max_nonfinite)
    try:
        return prepare_read(row, volume, job, anchor, known)
    except MemoryError:
        if volume.data.size <= USUAL_VOXELS:
            raise
        raise UnreadableVolume(
            f"the volume has {volume.data.size:,} voxels, for which memory is not enough; resample "
            "it to larger ones, or prepare it with more memory"
        ) from None


def prepare_read(
    row: VolumeRow, volume: Volume, job: Job, anchor: Anchor | None, known: dict[str, Any]
) -> Anchor:
    """Write all files of a volume that was read."""
    config, paths = job.config, store.paths_of(row.patient_id, row.visit, row.modality)
    known.update(
        spacing_mm="x".join(f"{side:.3g}" for side in volume.spacing_mm),
        unit=volume.unit,
        reason=volume.note,
    )
    if config.reorient:
        volume = to_ras(volume)
    known["voxels_sha256"] = hashlib.sha256(volume.data.tobytes()).hexdigest()
    if config.bias_correction and row.modality in MRI:
        volume = corrected(volume)
    brain = brain_of(row, volume, config, anchored=anchor is not None)
    known["mask_by"] = brain.found_by
    placed = place(row, volume, brain, job, anchor, known)
    grid = placed.grid
    check_overlap(job, placed, anchor, known)
    if job.template is not None and brain.found_by == "search":
        back = inverse(placed.native_from_grid)
        trimmed = job.template.trimmed(brain.mask, volume.grid, back)
        placed = replace(placed, brain=replace(brain, mask=trimmed))

    fill = float(volume.data.min())
    moved = resampled(volume, grid, placed.native_from_grid, fill)
    if anchor is not None and row.mask is None and config.align_visit:
        mask = resampled_mask(anchor.mask, anchor.volume.grid, grid, anchor.native_from_grid)
        known["mask_by"] = HEAD if anchor.brain.whole_head else "visit"
    else:
        mask = resampled_mask(placed.mask, volume.grid, grid, placed.native_from_grid)
    mask = within(mask, grid, volume.grid, placed.native_from_grid)  # of the rest nothing is known
    if not mask.any():
        raise BadRegistration("the brain lies outside the grid; check the registration and shape")
    check_coverage(placed, anchor, known)
    in_grid = replace(volume, data=moved.data, affine=grid.affine)
    known["mask_ml"] = round(size_ml(mask, in_grid), 1)
    data = normalised(row, job, moved.data, mask, placed, known)

    names = {name: str(paths[name]) for name in ("volume", "tensor", "mask", "picture")}
    store.write_nifti(job.out / names["volume"], data, grid.affine)
    store.write_nifti(job.out / names["mask"], mask.astype(np.uint8), grid.affine)
    write_planes(job.out / names["picture"], data, mask, grid.affine, config.display)
    store.write_transform(job.out / paths["transform"], inverse(placed.native_from_grid))
    store.write_tensor(job.out / names["tensor"], data, mask, grid.affine, config.cache_dtype)
    known.update(names, transform=str(paths["transform"]))
    return placed


def brain_of(row: VolumeRow, volume: Volume, config: ImagingConfig, anchored: bool) -> Brain:
    """The mask that the sheet names, or one that is found; else the whole head.

    A volume with an anchor gets by without a mask of its own: tracers may spare much of the brain.
    """
    if row.mask is not None:
        return given_brain(read_mask(row.mask, volume.grid, "mask given"), volume)
    if config.find_mask:
        try:
            return find_brain(volume)
        except NoBrain:
            if not anchored:
                raise
    return Brain(foreground(volume), HEAD)


def normalised(
    row: VolumeRow,
    job: Job,
    data: Array,
    mask: Mask,
    placed: Anchor,
    known: dict[str, Any],
) -> Array:
    """Intensities on one scale, background outside the mask."""
    config = job.config
    known["scaled_by"] = "none"
    if config.normalise:
        reference = None
        if row.modality in PET and row.reference is not None:
            region, source = read_region(row.reference, "reference given")
            reference = seen_reference(region, source, placed.native_from_grid, placed, known)
        elif (
            row.modality in PET and job.template is not None and job.template.reference is not None
        ):
            source = job.template.volume.grid
            reference = seen_reference(job.template.reference, source, np.eye(4), placed, known)
        if reference is None:
            data, _ = by_percentiles(data, mask, config.percentiles)
            known["scaled_by"] = "percentiles"
        else:
            data, _ = by_reference(data, reference, config.suvr_range)
            known["scaled_by"] = "reference"
    if config.strip:
        data = np.where(mask, data, np.float32(BACKGROUND if config.normalise else 0.0))
    return np.ascontiguousarray(data, dtype=np.float32)
