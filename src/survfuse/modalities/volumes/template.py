"""The template: the space that all brains are brought to, read once per batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from survfuse.config.imaging import ImagingConfig
from survfuse.core.errors import UserInputError
from survfuse.modalities.volumes.brain import find_brain, given_brain, with_margin
from survfuse.modalities.volumes.faults import NotAMask, VolumeFault
from survfuse.modalities.volumes.grid import resampled_mask
from survfuse.modalities.volumes.reading.reader import read_volume
from survfuse.modalities.volumes.volume import Affine, Array, Grid, Mask, Volume, to_ras

SHOWN_LABELS = 4  # of a segmentation, in a message
NEARLY_ALL = 0.99  # a mask has no brain around it that could be infinite or not a number


@dataclass(frozen=True)
class Template:
    """A volume with RAS axes, its brain, and the reference region of PET where there is one."""

    volume: Volume
    mask: Mask
    reference: Mask | None
    around: Mask  # the brain and a margin, on a coarse grid
    around_grid: Grid

    def trimmed(self, mask: Mask, grid: Grid, template_from_native: Affine) -> Mask:
        """A mask found in a volume, without what lies outside the margin: scalp, neck, eyes."""
        near = resampled_mask(self.around, self.around_grid, grid, template_from_native)
        return mask & near


def read_template(config: ImagingConfig) -> Template | None:
    """The configured template, or None. Raises UserInputError naming the file that is no good."""
    if config.template is None:
        return None
    reading = config.template
    try:
        volume = to_ras(read_volume(reading, config.max_nonfinite))
        if config.template_mask is None:
            mask = find_brain(volume).mask
        else:
            reading = config.template_mask
            mask = given_brain(read_mask(reading, volume.grid, "mask of the template"), volume).mask
        reference = None
        if config.reference_region is not None:
            reading = config.reference_region
            reference = read_mask(reading, volume.grid, "reference region")
    except VolumeFault as fault:
        raise UserInputError(f"{reading}: {fault.reason}") from None
    return Template(volume, mask, reference, *with_margin(mask, volume.grid))


def read_mask(path: Path, grid: Grid, what: str) -> Mask:
    """A mask on a grid of the same space. Raises the faults of `read_region`."""
    inside, own = read_region(path, what)
    return resampled_mask(inside, own, grid)


def read_region(path: Path, what: str) -> tuple[Mask, Grid]:
    """A mask on its own grid: true where the file is above one half of its maximum.

    `what` it is, for messages. Raises NotAMask for one that numbers several structures, and the
    faults of `reader.read_volume`.
    """
    try:
        stored = to_ras(read_volume(path, NEARLY_ALL))
        check_one_structure(stored.data)
    except VolumeFault as fault:
        raise type(fault)(f"the {what}: {fault}") from None
    return stored.data > stored.data.max() / 2, stored.grid


def check_one_structure(data: Array) -> None:
    """Raise NotAMask where all values are whole numbers and several of them are positive.

    Such a file numbers structures; half of its maximum would keep those of high numbers alone.
    """
    positive = data[data > 0]
    if (positive != np.rint(positive)).any():
        return  # shares or probabilities
    labels = np.unique(positive)
    if len(labels) > 1:
        shown = ", ".join(f"{label:g}" for label in labels[:SHOWN_LABELS])
        more = ", ..." if len(labels) > SHOWN_LABELS else ""
        raise NotAMask(
            f"it holds several structures ({shown}{more}), which makes it a segmentation and no "
            "mask; write a file that is 1 in the region meant and 0 elsewhere"
        )
