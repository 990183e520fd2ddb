"""Reading NIfTI, to the end of the file and its checksum, and no further than its header promises.

Nothing is allocated by the word of a header: first the voxels that it promises are compared with
what the file holds, and with the most that a brain scan can have.
"""

from __future__ import annotations

import math
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from survfuse.core.brought_files import UnusableFileError, require_regular, unpack_gzip
from survfuse.modalities.volumes.faults import COPY, NoOrientation, UnreadableVolume
from survfuse.modalities.volumes.volume import (
    MOST_BYTES,
    Volume,
    check_geometry,
    corners_of,
    new_volume,
    three_sides,
)

if TYPE_CHECKING:
    import nibabel as nib

UNIT_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
DISAGREEMENT_MM = 2.0  # between the two places of a voxel that a header may give
GZIP = b"\x1f\x8b"
HEADER_BYTES = 540  # of NIfTI-2; that of NIfTI-1 has 348


def read_nifti(path: Path) -> Volume:
    """A NIfTI file, plain or compressed; trailing axes of length 1 are dropped.

    Raises UnreadableVolume, NoOrientation, WrongDimension or ImplausibleVoxels.
    """
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image, held_bytes = opened(path)
        if min(image.shape, default=0) < 1:  # which nibabel would try to map all the same
            raise UnreadableVolume(f"the header gives the sides {image.shape}; {COPY}")
        affine = nifti_affine(image)
        check_geometry(three_sides(image.shape), affine)
        if promised_bytes(image.header) > held_bytes:
            raise UnreadableVolume(f"the file holds less than its header promises; {COPY}")
        data = np.asanyarray(image.dataobj)
    except UnusableFileError as error:
        raise UnreadableVolume(f"the file {error}; {COPY}") from None
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


def opened(path: Path) -> tuple[nib.Nifti1Image, int]:
    """The image, its voxels not read yet, and how many bytes there are, unpacked."""
    from nibabel.fileholders import FileHolder

    if starts_with_gzip(path):  # files are renamed, so the suffix does not tell
        content, held_bytes = unpacked(path)
        head, holder = content.getvalue()[:HEADER_BYTES], FileHolder(fileobj=content)
    else:
        held_bytes = require_regular(path).st_size
        with path.open("rb") as stored:
            head, holder = stored.read(HEADER_BYTES), FileHolder(filename=str(path))
            if path.suffix.lower() == ".gz":  # which nibabel would unpack
                content = BytesIO(head + stored.read(MOST_BYTES))
                holder = FileHolder(fileobj=content)
    return image_class(head).from_file_map({"image": holder}), held_bytes


def starts_with_gzip(path: Path) -> bool:
    """Whether a file is packed, by its first two bytes."""
    require_regular(path)
    with path.open("rb") as stored:
        return stored.read(len(GZIP)) == GZIP


def unpacked(path: Path) -> tuple[BytesIO, int]:
    """The content of a compressed file as far as its header promises voxels, and its length.

    It is read to its end all the same, where the checksum stands.
    """
    content, length, wanted = BytesIO(), 0, 0
    for piece in unpack_gzip(path, MOST_BYTES):
        if not length:
            wanted = wanted_bytes(piece[:HEADER_BYTES])
        if length < wanted:
            content.write(piece)
        length += len(piece)
    content.seek(0)
    return content, length


def wanted_bytes(head: bytes) -> int:
    """How much of a file its header needs to be read; of a damaged one, the header alone."""
    from nibabel.spatialimages import HeaderDataError

    try:
        kind = image_class(head).header_class
        return max(HEADER_BYTES, promised_bytes(kind(head[: kind.sizeof_hdr], check=False)))
    except (UnreadableVolume, HeaderDataError, ValueError, OverflowError):
        return HEADER_BYTES


def image_class(head: bytes) -> type[nib.Nifti1Image]:
    """The class of nibabel that reads a file. Raises UnreadableVolume if it is no NIfTI."""
    import nibabel as nib

    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(head):
            return kind
    raise UnreadableVolume(f"the file is no NIfTI volume; {COPY}")


def promised_bytes(header: Any) -> int:
    """Where the voxels of a file end if its header tells the truth."""
    sides = header.get_data_shape()
    try:
        voxel_bytes = header.get_data_dtype().itemsize
    except KeyError:
        raise UnreadableVolume(
            f"the header names no type of numbers that is known; {COPY}"
        ) from None
    return int(header["vox_offset"]) + math.prod(map(int, sides)) * voxel_bytes


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
    return np.asarray(affine, dtype=np.float64) * [[scale], [scale], [scale], [1.0]]


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
