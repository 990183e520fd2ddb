"""Simulated heads, and DICOM series of them, for tests of the imaging stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survfuse.imaging.volume import Volume

CENTRE_MM = np.array([3.0, -12.0, 8.0])
AXES_MM = np.array([62.0, 78.0, 58.0])  # semi-axes of the brain


def head(
    spacing_mm: float = 3.0, side: int = 72, seed: int = 0, turned_degrees: float = 0.0
) -> Volume:
    """A brain of uneven brightness with ventricles and a lesion, in fluid, skull and scalp."""
    angle = np.deg2rad(turned_degrees)
    axes = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing_mm
    affine[:3, 3] = CENTRE_MM - affine[:3, :3] @ np.full(3, (side - 1) / 2)
    world = np.moveaxis(np.indices((side,) * 3), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    away = world - CENTRE_MM
    radius = np.linalg.norm(away / AXES_MM, axis=-1)
    data = np.zeros((side,) * 3)
    data[radius < 1.30] = 700  # scalp
    data[radius < 1.20] = 60  # skull
    data[radius < 1.08] = 160  # fluid
    brain = radius < 1.0
    data[brain] = 600 + 150 * np.cos(away[brain] / 9).prod(axis=-1)
    data[radius < 0.6] += 250  # white matter
    data[np.linalg.norm((away - [0, 5, 5]) / [16, 26, 10], axis=-1) < 1] = 180  # ventricles
    data[np.linalg.norm(away - [35, 30, 10], axis=-1) < 7] = 1800  # right, front, top
    data += np.random.default_rng(seed).normal(0, 8, data.shape)
    return Volume(np.maximum(data, 0).astype(np.float32), affine)


def brain_of(volume: Volume) -> NDArray[np.bool_]:
    """The true brain of `head`, fluid left out."""
    shape = volume.data.shape
    world = np.moveaxis(np.indices(shape), 0, -1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return np.asarray(np.linalg.norm((world - CENTRE_MM) / AXES_MM, axis=-1) < 1)


def save(volume: Volume, path: Path, code: int = 1) -> Path:
    """Write a volume as NIfTI (float32)."""
    import nibabel as nib

    image = nib.Nifti1Image(volume.data, volume.affine)
    image.set_sform(volume.affine if code else None, code)
    image.set_qform(volume.affine if code else None, code)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def write_series(volume: Volume, folder: Path, **tags: Any) -> list[Path]:
    """Write a volume as uncompressed axial DICOM slices, stored as integers with slope 2.

    The volume's axes must run right, front, top in world RAS. Returns the files, bottom first.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    series, paths = generate_uid(), []
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    spacing = volume.spacing_mm
    for k in range(volume.data.shape[2]):
        slice_ = Dataset()
        slice_.file_meta = FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        slice_.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        slice_.SOPClassUID = slice_.file_meta.MediaStorageSOPClassUID
        slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID
        slice_.SeriesInstanceUID = series
        slice_.Modality = "MR"
        slice_.InstanceNumber = 1000 - k  # nothing to rely on
        # Columns advance with the first axis of the volume, rows with its second.
        slice_.ImageOrientationPatient = [
            *(lps[:3, 0] / spacing[0]).tolist(),
            *(lps[:3, 1] / spacing[1]).tolist(),
        ]
        slice_.ImagePositionPatient = (lps @ [0, 0, k, 1])[:3].tolist()
        slice_.PixelSpacing = [spacing[1], spacing[0]]
        pixels = np.round((volume.data[:, :, k].T + 10) / 2).astype(np.uint16)
        slice_.Rows, slice_.Columns = pixels.shape
        slice_.BitsAllocated = slice_.BitsStored = 16
        slice_.HighBit, slice_.PixelRepresentation = 15, 0
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.RescaleSlope, slice_.RescaleIntercept = 2, -10
        slice_.PixelData = pixels.tobytes()
        for name, value in tags.items():
            setattr(slice_, name, value)
        paths.append(folder / f"{(k * 7) % 101:03d}_{k}.dcm")  # in no order
        slice_.save_as(paths[-1], enforce_file_format=True)
    return paths


def pet_tags(weight_kg: float = 70.0) -> dict[str, Any]:
    """Tags of an FDG PET: 370 MBq at 10:00, series at 11:00, half-life 110 minutes."""
    from pydicom.dataset import Dataset

    dose = Dataset()
    dose.RadionuclideTotalDose = 370e6
    dose.RadionuclideHalfLife = 6600.0
    dose.RadiopharmaceuticalStartTime = "100000.00"
    return {
        "Modality": "PT",
        "Units": "BQML",
        "DecayCorrection": "START",
        "SeriesTime": "110000",
        "AcquisitionTime": "110500",
        "PatientWeight": weight_kg,
        "RadiopharmaceuticalInformationSequence": [dose],
    }
