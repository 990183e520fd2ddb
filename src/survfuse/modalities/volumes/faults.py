"""Why a volume is set aside.

A fault is a property of the data: the volume is quarantined, the reason goes into the manifest, and
the batch goes on. Faults of the machine (disk full, out of memory) are not volume faults and stop
the job. Messages name no file: names of files and folders often hold patient names.
"""

from __future__ import annotations

from survfuse.artifacts.manifest import Fault
from survfuse.core.messages import marked

COPY = "copy the file again, or convert it to NIfTI"  # what helps against a damaged one


class VolumeFault(Fault):
    """Base of all reasons to quarantine a volume."""


class UnreadableVolume(VolumeFault):
    """The file is missing, cut short, damaged, or of an unsupported format."""

    code = "unreadable"
    words = marked("the file could not be read")


class NotAMask(VolumeFault):
    """A file given as a mask that numbers several structures."""

    code = "not_a_mask"
    words = marked("its mask is none")


class WrongDimension(VolumeFault):
    """Not one three-dimensional volume of a plausible size."""

    code = "wrong_dimension"
    words = marked("it is not one volume of a plausible size")


class NotFinite(VolumeFault):
    """Voxels that are infinite or not a number, more of them than the configuration allows."""

    code = "not_finite"
    words = marked("too many of its voxels have no value")


class ConstantVolume(VolumeFault):
    """All voxels have the same value."""

    code = "constant"
    words = marked("all its voxels have the same value")


class ImplausibleVoxels(VolumeFault):
    """Voxels or a field of view that no brain scan has, or axes at odd angles."""

    code = "implausible_voxels"
    words = marked("its voxels are not those of a brain scan")


class NoOrientation(VolumeFault):
    """Nothing tells left from right."""

    code = "no_orientation"
    words = marked("nothing tells its left from its right")


class MixedSeries(VolumeFault):
    """A folder with slices of more than one DICOM series or time point."""

    code = "mixed_series"
    words = marked("its folder holds several series")


class MissingSlices(VolumeFault):
    """Gaps between the slices of a DICOM series."""

    code = "missing_slices"
    words = marked("slices are missing")


class NoBrain(VolumeFault):
    """The brain was not found, or the mask cannot be one of a brain."""

    code = "no_brain"
    words = marked("the brain was not found")


class CutOff(VolumeFault):
    """A field of view, or a grid, that leaves out too much of the brain."""

    code = "cut_off"
    words = marked("too much of the brain is cut off")


class BadRegistration(VolumeFault):
    """A registration that failed, or a given one that is not usable."""

    code = "bad_registration"
    words = marked("it could not be brought into place")
