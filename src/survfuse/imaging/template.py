"""The template: the space that all brains are brought to, read once per batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from survfuse.config_imaging import ImagingConfig
from survfuse.errors import UserInputError
from survfuse.imaging.brain import find_brain, given_brain, with_margin
from survfuse.imaging.faults import VolumeFault
from survfuse.imaging.grid import resampled_mask
from survfuse.imaging.reader import read_volume
from survfuse.imaging.volume import Affine, Grid, Mask, Volume, to_ras

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
            mask = given_brain(read_mask(reading, volume.grid), volume).mask
        reference = None
        if config.reference_region is not None:
            reading = config.reference_region
            reference = read_mask(reading, volume.grid)
    except VolumeFault as fault:
        raise UserInputError(f"{reading}: {fault.reason}") from None
    return Template(volume, mask, reference, *with_margin(mask, volume.grid))


def read_mask(path: Path, grid: Grid) -> Mask:
    """A mask on a grid of the same space: true where the file is above one half of its maximum.

    Raises the faults of `reader.read_volume`.
    """
    stored = to_ras(read_volume(path, NEARLY_ALL))
    inside = stored.data > stored.data.max() / 2
    return resampled_mask(inside, stored.grid, grid)
