"""Where a volume of a visit goes: its transform, and the grid that all of the visit share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.config.imaging import ImagingConfig
from survfuse.modalities.volumes.brain import Brain, dice, with_margin
from survfuse.modalities.volumes.faults import BadRegistration
from survfuse.modalities.volumes.grid import (
    covering_grid,
    cropped_grid,
    grid_around,
    middle_of,
    resampled,
    resampled_mask,
    within,
)
from survfuse.modalities.volumes.pictures import write_alignment
from survfuse.modalities.volumes.registration import read_matrix, register
from survfuse.modalities.volumes.store import HEAD, paths_of
from survfuse.modalities.volumes.template import Template
from survfuse.modalities.volumes.volume import Affine, Array, Grid, Mask, Volume, inverse

LEAST_OVERLAP = 0.6  # with the brain of the visit's first MRI, of any other volume


@dataclass(frozen=True)
class VolumeRow:
    """One row of the checked image sheet."""

    patient_id: str
    visit: str
    modality: str
    path: Path
    mask: Path | None
    reference: Path | None
    registration: Path | None

    @property
    def files(self) -> list[Path]:
        """Everything that the result depends on."""
        named = (self.path, self.mask, self.reference, self.registration)
        return [path for path in named if path is not None]


@dataclass(frozen=True)
class Job:
    """What all volumes of a batch share."""

    config: ImagingConfig
    template: Template | None
    out: Path


@dataclass(frozen=True)
class Anchor:
    """The first MRI of a visit, where the results lie, and how to get from there to it.

    `native_from_grid` (4, 4) takes world mm of the result to world mm of the anchor's file. What
    its `brain` cuts out may show a face where that is the whole head.
    """

    volume: Volume
    brain: Brain
    grid: Grid
    native_from_grid: Affine

    @property
    def mask(self) -> Mask:
        """The mask of the brain, on the grid of the volume."""
        return self.brain.mask


def place(
    row: VolumeRow,
    volume: Volume,
    brain: Brain,
    job: Job,
    anchor: Anchor | None,
    known: dict[str, Any],
) -> Anchor:
    """Where a volume goes: by a given transform, to the anchor, to the template, or nowhere."""
    template, mask = job.template, brain.mask
    matrix: Affine = np.eye(4)  # world mm of the result to world mm of the file
    if row.registration is not None:
        matrix = inverse(read_matrix(row.registration))
    elif anchor is not None:
        if job.config.align_visit:
            found = register(volume, mask, anchor.volume, anchor.mask, affine=False)
            known.update(similarity_before=found.before, similarity=found.after)
            matrix = found.moving_from_fixed @ anchor.native_from_grid
        else:
            matrix = anchor.native_from_grid
    elif template is not None:
        found = register(volume, mask, template.volume, template.mask, affine=True)
        known.update(similarity_before=found.before, similarity=found.after)
        matrix = found.moving_from_fixed
    grid = anchor.grid if anchor is not None else result_grid(volume, mask, matrix, job)
    placed = Anchor(volume, brain, grid, matrix)
    if "similarity" in known:
        write_before_and_after(row, placed, job, anchor, known)
    return placed


def result_grid(volume: Volume, mask: Mask, native_from_grid: Affine, job: Job) -> Grid:
    """The grid of the results of a visit: the template's brain in its middle, or the visit's."""
    config = job.config
    if job.template is not None:
        base = job.template.volume.grid
        centre = middle_of(job.template.mask, base.affine)
    else:
        base = Grid(inverse(native_from_grid) @ volume.affine, volume.grid.shape)
        centre = middle_of(mask, base.affine)
    if not config.resample:
        return cropped_grid(base, centre, config.shape) if config.crop else base
    if not config.crop:
        return covering_grid(base, config.spacing_mm, upright=config.reorient)
    axes = None if config.reorient else base.affine[:3, :3] / base.spacing_mm
    return grid_around(np.round(centre, 3), config.spacing_mm, config.shape, axes)


def check_overlap(job: Job, placed: Anchor, anchor: Anchor | None, known: dict[str, Any]) -> None:
    """Compare where the brain of a volume came to lie with where it should.

    Raises BadRegistration where the first MRI of a visit overlaps the template's brain less than
    configured, or another volume hardly overlaps that MRI's. The latter need not reach the
    configured overlap, since it takes over the MRI's mask, and its tracer may spare much of the
    brain.
    """
    grid = placed.grid
    own = resampled_mask(placed.mask, placed.volume.grid, grid, placed.native_from_grid)
    if job.template is not None:
        expected = resampled_mask(job.template.mask, job.template.volume.grid, grid)
        known["dice"] = round(dice(own, expected), 4)
        if anchor is None and known["dice"] < job.config.min_dice:
            raise BadRegistration(
                f"the brain overlaps that of the template by a Dice of {known['dice']:.2f} only, "
                f"needed is imaging.min_dice = {job.config.min_dice:g}; look at the picture, then "
                "name a mask or a transform in the sheet, or leave the volume out"
            )
    if anchor is None or anchor.brain.whole_head:
        return
    brain = resampled_mask(anchor.mask, anchor.volume.grid, grid, anchor.native_from_grid)
    brain = within(brain, grid, placed.volume.grid, placed.native_from_grid)
    if not brain.any():
        return  # which the coverage tells
    # A head has to hold the brain; a brain has to lie where the other one does.
    overlap = (own & brain).sum() / brain.sum() if placed.brain.whole_head else dice(own, brain)
    if overlap < LEAST_OVERLAP:
        raise BadRegistration(
            f"its brain overlaps that of the first MRI of the visit by {overlap:.0%} only; look at "
            "the picture, then name a mask or a transform in the sheet, or leave the volume out"
        )


def write_before_and_after(
    row: VolumeRow, placed: Anchor, job: Job, anchor: Anchor | None, known: dict[str, Any]
) -> None:
    """The picture of a registration: target, volume before, volume after; masked, on the grid.

    There is none where the target is masked by the whole head, which may show a face.
    """
    grid = placed.grid
    if anchor is not None:
        if anchor.brain.whole_head:
            return
        target, mask = anchor.volume, anchor.mask
        to_target, before = anchor.native_from_grid, anchor.native_from_grid
    else:
        assert job.template is not None
        target, mask = job.template.volume, job.template.mask
        to_target, before = np.eye(4), np.eye(4)
    inside = resampled_mask(mask, target.grid, grid, to_target)
    own = without_face(placed, mask, target.grid, to_target @ inverse(placed.native_from_grid))
    if not own.any():
        return

    def shown(volume: Volume, cut: Mask, matrix: Affine) -> Array:
        low = volume.data[cut].min()
        bare = replace(volume, data=np.where(cut, volume.data - low, 0).astype(np.float32))
        return resampled(bare, grid, matrix).data

    pictures = [
        ("target", shown(target, mask, to_target)),
        ("before", shown(placed.volume, own, before)),
        ("after", shown(placed.volume, own, placed.native_from_grid)),
    ]
    path = paths_of(row.patient_id, row.visit, row.modality)["alignment"]
    write_alignment(job.out / path, pictures, inside, grid.affine, job.config.display)
    known["alignment"] = str(path)


def without_face(
    placed: Anchor, target: Mask, target_grid: Grid, target_from_native: Affine
) -> Mask:
    """The part of a placed volume's mask that is brain by the target too.

    A mask that was searched for may hold scalp or eyes, and one of the whole head does.
    """
    if placed.brain.found_by not in ("search", HEAD):
        return placed.mask
    near, near_grid = target, target_grid
    if not placed.brain.whole_head:
        near, near_grid = with_margin(target, target_grid)
    return placed.mask & resampled_mask(near, near_grid, placed.volume.grid, target_from_native)
