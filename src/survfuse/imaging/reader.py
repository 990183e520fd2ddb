"""Reading a volume, whatever it is stored in: NIfTI, NRRD, or a folder of DICOM slices."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survfuse.imaging.faults import NoOrientation, UnreadableVolume
from survfuse.imaging.volume import (
    Volume,
    check_geometry,
    checked,
    corners_of,
    from_image,
    new_volume,
)

NIFTI, NRRD = (".nii", ".nii.gz"), ".nrrd"
UNIT_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
COPY = "copy the file again, or convert it to NIfTI"
DISAGREEMENT_MM = 2.0  # between the two places of a voxel that a NIfTI header may give


def read_volume(path: Path, max_nonfinite: float = 0.0) -> Volume:
    """The volume in a file or folder, checked.

    Raises a VolumeFault: UnreadableVolume, NoOrientation, MixedSeries, MissingSlices, or those of
    `volume.checked`.
    """
    name = path.name.lower()
    if path.is_dir():
        from survfuse.imaging.dicom import read_series

        volume = read_series(path)
    elif not path.is_file():
        raise UnreadableVolume("the file is not there or may not be read; check path and rights")
    elif name.endswith(NIFTI):
        volume = read_nifti(path)
    elif name.endswith(NRRD):
        volume = read_nrrd(path)
    elif name.endswith(".dcm"):
        raise UnreadableVolume("this is one DICOM slice; name the folder of its series instead")
    else:
        raise UnreadableVolume(
            "the suffix is none of .nii, .nii.gz, .nrrd, and the path is no folder of DICOM "
            "slices; convert the volume to NIfTI"
        )
    return checked(volume, max_nonfinite)


def read_nifti(path: Path) -> Volume:
    """A NIfTI file; axes of length 1 are dropped. Raises the faults of `read_volume`."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise UnreadableVolume(f"the file is no NIfTI volume; {COPY}")
        if min(image.shape, default=0) < 1:  # which nibabel would try to map all the same
            raise UnreadableVolume(f"the header gives the sides {image.shape}; {COPY}")
        shape = tuple(side for side in image.shape if side > 1)
        affine = nifti_affine(image)
        if len(shape) == 3 and min(image.shape[:3]) > 1:
            check_geometry(shape, affine)  # before a damaged header asks for all memory
        data = np.asanyarray(image.dataobj)
    # All that nibabel raises for one damaged byte or another of a header.
    except (
        ImageFileError,
        HeaderDataError,
        EOFError,
        zlib.error,
        OSError,
        ValueError,
        OverflowError,
    ):
        raise UnreadableVolume(f"the file is cut short, damaged, or no NIfTI; {COPY}") from None
    if data.dtype.names or np.iscomplexobj(data):
        raise UnreadableVolume("the voxels are colours or complex numbers; export one number each")
    return new_volume(data, affine, note=disagreement(image))


def nifti_affine(image: Any) -> NDArray[np.float64]:
    """Voxel index to RAS mm: the sform if there is one, else the qform.

    Raises NoOrientation if neither can be used, because left and right are then unknown.
    """
    header = image.header
    sform, qform = forms(header)
    affine = qform if sform is None else sform
    if affine is None:
        raise NoOrientation(
            "the header has neither an sform nor a qform that can be used, so left and right are "
            "unknown; export the volume again from its DICOM series"
        )
    try:
        scale = UNIT_MM.get(header.get_xyzt_units()[0], 1.0)
    except KeyError:  # a code that stands for no unit
        raise UnreadableVolume(f"the header names no known unit of length; {COPY}") from None
    return np.diag([scale, scale, scale, 1.0]) @ np.asarray(affine, dtype=np.float64)


def forms(header: Any) -> tuple[Any, Any]:
    """The sform and the qform; None for one that is not set, or that is no rotation."""
    try:
        qform = header.get_qform(coded=True)[0]
    except ValueError:  # its quaternion is longer than 1
        qform = None
    return header.get_sform(coded=True)[0], qform


def disagreement(image: Any) -> str:
    """What to say of a header whose sform and qform place the volume differently."""
    sform, qform = forms(image.header)
    if sform is None or qform is None or len(image.shape) < 3:
        return ""
    corners = corners_of(image.shape)
    places = [form[:3, :3] @ corners + form[:3, 3:] for form in (sform, qform)]
    apart = float(np.linalg.norm(places[0] - places[1], axis=0).max())
    if apart <= DISAGREEMENT_MM:
        return ""
    return f"sform and qform differ by up to {apart:.0f} mm; the sform was taken"


def read_nrrd(path: Path) -> Volume:
    """A NRRD file that holds its voxels. Raises the faults of `read_volume`."""
    import SimpleITK as sitk

    if names_data_file(path):
        raise UnreadableVolume(
            "the header names another file for its voxels, which may have changed since, or lie "
            "anywhere; save header and voxels in one .nrrd file, or convert the volume to NIfTI"
        )
    try:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("NrrdImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        if reader.GetDimension() == 3 and reader.GetNumberOfComponents() == 1:
            scale = np.asarray(reader.GetSpacing())
            affine = np.eye(4)
            affine[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * scale
            check_geometry(reader.GetSize(), affine)
        if not reader.HasMetaDataKey("NRRD_space"):
            raise NoOrientation(
                "the header names no space, so left and right are unknown; export the volume again"
            )
        image = reader.Execute()
    except RuntimeError:  # what SimpleITK raises for whatever goes wrong
        raise UnreadableVolume(f"the file is cut short, damaged, or no NRRD; {COPY}") from None
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise UnreadableVolume("each voxel has several numbers; export one volume per file")
    if image.GetDimension() != 3:
        return new_volume(sitk.GetArrayFromImage(image).T, np.eye(4))  # which says what is wrong
    return from_image(image)


def names_data_file(path: Path) -> bool:
    """Whether the header of a NRRD, which ends at the first empty line, refers to other files."""
    with path.open("rb") as handle:
        header = itertools.takewhile(lambda line: line not in (b"\n", b"\r\n"), handle)
        fields = (line.split(b":")[0].strip().lower() for line in header)
        return any(field in (b"data file", b"datafile") for field in fields)
