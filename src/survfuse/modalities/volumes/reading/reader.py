"""Reading a volume, whatever it is stored in: NIfTI, NRRD, or a folder of DICOM slices."""

from __future__ import annotations

from pathlib import Path

from survfuse.core.brought_files import UnusableFileError, require_regular
from survfuse.modalities.volumes.faults import UnreadableVolume
from survfuse.modalities.volumes.reading.nifti import read_nifti
from survfuse.modalities.volumes.reading.nrrd import read_nrrd
from survfuse.modalities.volumes.volume import Volume, checked

NIFTI, NRRD = (".nii", ".nii.gz"), ".nrrd"


def read_volume(path: Path, max_nonfinite: float = 0.0) -> Volume:
    """The volume in a file or folder, checked.

    Raises a VolumeFault: UnreadableVolume, NoOrientation, MixedSeries, MissingSlices, or those of
    `volume.checked`. Memory that is not enough for reading is a fault of the file: its size was
    checked before, so that what still takes too much is damaged, or made to do harm.
    """
    try:
        return checked(stored_volume(path), max_nonfinite)
    except MemoryError:
        raise UnreadableVolume(
            "reading the volume takes more memory than there is; check that it is what it should "
            "be, and resample it to fewer voxels, or prepare it with more memory"
        ) from None


def stored_volume(path: Path) -> Volume:
    """The volume in a file or folder as it is stored. Raises the faults of the formats."""
    name = path.name.lower()
    try:
        if path.is_dir():
            from survfuse.modalities.volumes.reading.dicom import read_series

            return read_series(path)
        require_regular(path)
    except UnusableFileError as error:
        raise UnreadableVolume(f"the path {error}; name a volume") from None
    except OSError:
        raise UnreadableVolume(
            "the file is not there or may not be read; check path and rights"
        ) from None
    if name.endswith(NIFTI):
        return read_nifti(path)
    if name.endswith(NRRD):
        return read_nrrd(path)
    if name.endswith(".dcm"):
        raise UnreadableVolume("this is one DICOM slice; name the folder of its series instead")
    raise UnreadableVolume(
        "the suffix is none of .nii, .nii.gz, .nrrd, and the path is no folder of DICOM slices; "
        "convert the volume to NIfTI"
    )
