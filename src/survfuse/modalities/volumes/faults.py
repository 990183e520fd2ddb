"""Why a volume is set aside.

A fault is a property of the data: the volume is quarantined, the reason goes into the manifest, and
the batch goes on. Faults of the machine (disk full, out of memory) are not volume faults and stop
the job. Messages name no file: names of files and folders often hold patient names.
"""

from __future__ import annotations

from survfuse.artifacts.manifest import Fault

COPY = "copy the file again, or convert it to NIfTI"  # what helps against a damaged one


class VolumeFault(Fault):
    """Base of all reasons to quarantine a volume."""


class UnreadableVolume(VolumeFault):
    """The file is missing, cut short, damaged, or of an unsupported format."""

    code = "unreadable"


class NotAMask(VolumeFault):
    """A file given as a mask that numbers several structures."""

    code = "not_a_mask"


class WrongDimension(VolumeFault):
    """Not one three-dimensional volume of a plausible size."""

    code = "wrong_dimension"


class NotFinite(VolumeFault):
    """Voxels that are infinite or not a number, more of them than the configuration allows."""

    code = "not_finite"


class ConstantVolume(VolumeFault):
    """All voxels have the same value."""

    code = "constant"


class ImplausibleVoxels(VolumeFault):
    """Voxels or a field of view that no brain scan has, or axes at odd angles."""

    code = "implausible_voxels"


class NoOrientation(VolumeFault):
    """Nothing tells left from right."""

    code = "no_orientation"


class MixedSeries(VolumeFault):
    """A folder with slices of more than one DICOM series or time point."""

    code = "mixed_series"


class MissingSlices(VolumeFault):
    """Gaps between the slices of a DICOM series."""

    code = "missing_slices"


class NoBrain(VolumeFault):
    """The brain was not found, or the mask cannot be one of a brain."""

    code = "no_brain"


class CutOff(VolumeFault):
    """A field of view, or a grid, that leaves out too much of the brain."""

    code = "cut_off"


class BadRegistration(VolumeFault):
    """A registration that failed, or a given one that is not usable."""

    code = "bad_registration"
