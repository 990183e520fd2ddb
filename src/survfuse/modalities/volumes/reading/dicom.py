"""Reading a folder of DICOM slices as one volume.

Only geometry, pixels and what SUV needs is read; no names, dates or identifiers leave this module.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from survfuse.modalities.volumes.faults import (
    MissingSlices,
    MixedSeries,
    UnreadableVolume,
    WrongDimension,
)
from survfuse.modalities.volumes.reading.suv import TAGS, uptake
from survfuse.modalities.volumes.volume import (
    LEAST_SLICES,
    LPS_FROM_RAS,
    MOST_BYTES,
    Affine,
    Array,
    Volume,
    check_geometry,
    new_volume,
)

if TYPE_CHECKING:
    from pydicom import Dataset

UNEVEN = 0.05  # part of the slice distance by which slices may lie off
SAME_AXES = 1e-3  # difference of direction cosines within a series
DEFLATED = "1.2.840.10008.1.2.1.99"  # all of a file compressed, to who knows how much
READ = (  # what is read of a slice beside its pixels
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "RescaleSlope", "RescaleIntercept"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SeriesInstanceUID", "Modality", *TAGS),
)
SLICES = (".dcm", ".ima")  # names of slices, of which none may be passed over
ONE_SERIES = "put the slices of one series, and of one time point, into a folder of their own"


@dataclass(frozen=True)
class Slice:
    """One slice and where it lies."""

    tags: Dataset
    position: NDArray[np.float64]  # (3,) of the first pixel, LPS mm
    axes: NDArray[np.float64]  # (2, 3) directions along a row and along a column
    spacing_mm: tuple[float, float]  # between rows, between columns


def read_series(folder: Path) -> Volume:
    """The series in a folder; PET in SUV where the tags allow, else as stored.

    Files that are not DICOM are passed over, unless they are called as slices are. Raises
    UnreadableVolume, WrongDimension, MixedSeries or MissingSlices.
    """
    slices = [located(tags) for tags in read_files(folder)]
    check_one_series(slices)
    normal = np.cross(*slices[0].axes)
    slices.sort(key=lambda piece: float(piece.position @ normal))
    step = slice_step(slices, normal)
    affine = affine_of(slices[0], step)
    rows, columns = sides(slices[0].tags)
    check_geometry((rows, columns, len(slices)), affine)  # before pixels are decoded
    data = np.stack([rescaled(piece.tags) for piece in slices], axis=-1)
    unit, note = "", ""
    if str(slices[0].tags.get("Modality", "")) == "PT":
        factor, unit, note = uptake([piece.tags for piece in slices])
        data = data * np.float32(factor)
    return new_volume(data, affine, unit, note)


def affine_of(first: Slice, step: NDArray[np.float64]) -> Affine:
    """Voxel index (row, column, slice) to RAS mm; `step` leads from one slice to the next."""
    affine = np.eye(4)
    # A pixel's first index counts rows, which advance along the second of the two directions.
    affine[:3, 0] = first.axes[1] * first.spacing_mm[0]
    affine[:3, 1] = first.axes[0] * first.spacing_mm[1]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    return LPS_FROM_RAS @ affine


def sides(tags: Dataset) -> tuple[int, int]:
    """Rows and columns of a slice. Raises UnreadableVolume where it does not tell."""
    try:
        return int(tags.Rows), int(tags.Columns)
    except (AttributeError, TypeError, ValueError):
        raise UnreadableVolume("slices do not tell their size; export the series again") from None


def read_files(folder: Path) -> list[Dataset]:
    """All DICOM images in a folder, not in folders inside it. Raises UnreadableVolume."""
    import pydicom.config

    # Its warnings quote values of tags.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        paths = [path for path in sorted(folder.iterdir()) if is_candidate(path)]
        held_bytes = sum(path.stat().st_size for path in paths)
    except OSError:
        raise UnreadableVolume("the folder may not be read; check its rights") from None
    if held_bytes > MOST_BYTES:
        raise UnreadableVolume(
            f"the folder holds {held_bytes / 2**30:.0f} GiB, more than any series; {ONE_SERIES}"
        )
    found = [tags for path in paths if (tags := read_file(path)) is not None]
    if not found:
        raise UnreadableVolume("the folder holds no DICOM images; name the folder of one series")
    return found


def is_candidate(path: Path) -> bool:
    """Whether an entry of a folder may be a slice: a regular file that is not hidden."""
    return path.is_file() and not path.name.startswith(".") and path.name != "DICOMDIR"


def read_file(path: Path) -> Dataset | None:
    """An image with the tags of READ decoded; None for what is no DICOM image.

    Raises UnreadableVolume for a damaged one, whatever pydicom raises for it, and for one that
    is compressed as a whole: nothing tells to how much it would unpack.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    try:
        if str(read_file_meta_info(path).get("TransferSyntaxUID")) == DEFLATED:
            raise UnreadableVolume("the slices are deflated; convert the series to NIfTI first")
        tags = dcmread(path)
        decode(tags)
    except InvalidDicomError:
        if path.suffix.lower() in SLICES:
            raise UnreadableVolume(
                f"a file called {path.suffix} is no DICOM file, or lacks the mark of one (DICM); "
                "export the series again, or convert it to NIfTI, e.g. with dcm2niix"
            ) from None
        return None
    except UnreadableVolume:
        raise
    except Exception:  # sequences nested without end are a RecursionError, for example
        raise UnreadableVolume("a DICOM file is cut short or damaged; copy it again") from None
    return tags if "PixelData" in tags or "Rows" in tags else None


def decode(tags: Dataset) -> None:
    """Decode the tags of READ, those in sequences too: pydicom waits until one is asked for."""
    for name in READ:
        if name in tags and tags[name].VR == "SQ":
            for item in tags[name].value:
                decode(item)


def located(tags: Dataset) -> Slice:
    """Where a slice lies. Raises UnreadableVolume if its tags do not tell."""
    try:
        frames = int(tags.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        raise UnreadableVolume(
            "the number of frames of a slice is damaged; copy it again"
        ) from None
    if frames > 1:
        raise UnreadableVolume(
            "the file holds many frames (enhanced DICOM); convert the series to NIfTI first"
        )
    try:
        position = np.array([float(value) for value in tags.ImagePositionPatient])
        axes = np.array([float(value) for value in tags.ImageOrientationPatient]).reshape(2, 3)
        rows_mm, columns_mm = (float(value) for value in tags.PixelSpacing)
    except (AttributeError, TypeError, ValueError):
        raise UnreadableVolume(
            "slices lack their position, orientation or pixel spacing; export the original series"
        ) from None
    numbers = [*position, *axes.ravel(), rows_mm, columns_mm]
    if (
        position.shape != (3,)
        or not np.isfinite(numbers).all()
        or min(rows_mm, columns_mm) <= 0
        or abs(axes @ axes.T - np.eye(2)).max() > 0.01
    ):
        raise UnreadableVolume("the position or orientation of a slice is damaged; export it again")
    return Slice(tags, position, axes, (rows_mm, columns_mm))


def check_one_series(slices: list[Slice]) -> None:
    """Raise MixedSeries or WrongDimension unless all slices belong together."""
    first = slices[0]
    series = {str(piece.tags.get("SeriesInstanceUID", "")) for piece in slices}
    if len(series) > 1:
        raise MixedSeries(f"the folder holds slices of {len(series)} series; {ONE_SERIES}")
    alike = all(
        (piece.tags.get("Rows"), piece.tags.get("Columns"))
        == (first.tags.get("Rows"), first.tags.get("Columns"))
        and np.allclose(piece.spacing_mm, first.spacing_mm, rtol=1e-3)
        and np.abs(piece.axes - first.axes).max() < SAME_AXES
        for piece in slices
    )
    if not alike:
        raise MixedSeries(f"slices differ in size, spacing or direction (a scout?); {ONE_SERIES}")
    if len(slices) < LEAST_SLICES:
        raise WrongDimension(
            f"the series has {len(slices)} slices, needed are {LEAST_SLICES}; copy all of them"
        )


def slice_step(slices: list[Slice], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """From one slice to the next, LPS mm; slices are sorted along `normal`.

    Raises MixedSeries if two slices lie at one place, MissingSlices if there is a gap.
    """
    depth = np.array([piece.position @ normal for piece in slices])
    gaps = np.diff(depth)
    usual = float(np.median(gaps))
    if (gaps < 0.01).any() or usual <= 0:
        same = int((gaps < 0.01).sum())
        raise MixedSeries(f"{same} slices lie where another one lies (time points?); {ONE_SERIES}")
    missing = int(np.maximum(0, np.rint(gaps / usual) - 1).sum())
    if missing or np.abs(gaps - usual).max() > max(UNEVEN * usual, 0.05):
        told = f"about {missing} slices are missing" if missing else "slices are unevenly spaced"
        raise MissingSlices(f"{told}; copy the whole series again")
    return (slices[-1].position - slices[0].position) / (len(slices) - 1)


def rescaled(tags: Dataset) -> Array:
    """Pixels (rows, columns) times slope plus intercept. Raises UnreadableVolume."""
    try:
        pixels = tags.pixel_array.astype(np.float32)
        slope = float(tags.get("RescaleSlope", 1) or 1)
        intercept = float(tags.get("RescaleIntercept", 0) or 0)
    except Exception:  # whatever decoders raise on damaged pixels
        raise UnreadableVolume(
            "the pixels of a slice are cut short, damaged or compressed in an unsupported way; "
            "copy it again, or convert the series to NIfTI"
        ) from None
    if pixels.ndim != 2:
        raise UnreadableVolume("slices are colour pictures; export the original series")
    return pixels * np.float32(slope) + np.float32(intercept)
