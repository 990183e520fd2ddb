"""The files of the imaging stage: prepared volumes, tensors, transforms, and the manifest.

Every volume has a record (JSON), written last, which holds its row of the manifest and the hash of
what it was made from; a volume whose record fits is not done again.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survfuse.artifacts.manifest import OK, Manifest
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, read_json, sha256_file, write_json, write_text
from survfuse.modalities.volumes.faults import NotFinite
from survfuse.modalities.volumes.volume import Affine, Array, Mask

log = logging.getLogger(__name__)

SCHEMA = 3
SHOWN_OWNERS = 3  # of copies of one volume
HEAD = "head"  # mask_by where no brain was found: what is shown may be a face
FILES = ("volume", "tensor", "mask", "transform", "picture", "alignment")


@dataclass(frozen=True)
class VolumeStatus:
    """One row of the manifest. Paths are relative to the image directory."""

    patient_id: str
    visit: str
    modality: str
    status: str  # ok or quarantined
    reason: str = ""  # why quarantined; for usable volumes, what the reader should know
    seconds: float | None = None  # of CPU time
    spacing_mm: str = ""  # as scanned, e.g. 0.94x0.94x1.2
    unit: str = ""  # of PET as read: SUV, Bq/ml, or not known
    scaled_by: str = ""  # percentiles, reference, or none
    mask_by: str = ""  # given, outline, search, visit, or head
    mask_ml: float | None = None  # in the space of the result
    brain_in_view: float | None = None  # share of the brain within the field of view
    brain_in_grid: float | None = None
    dice: float | None = None  # of the mask with the template's
    similarity_before: float | None = None  # mutual information, nats
    similarity: float | None = None
    volume: str = ""
    tensor: str = ""
    mask: str = ""
    transform: str = ""
    picture: str = ""
    alignment: str = ""  # picture of the registration
    tensor_sha256: str = ""  # of usable volumes, by which later stages see another tensor
    reference_in_view: float | None = None  # share of the reference region of a PET
    voxels_sha256: str = ""  # of the volume as read, by which copies are seen

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies a volume."""
        return self.patient_id, self.visit, self.modality


MANIFEST = Manifest(
    VolumeStatus,
    items="volumes",
    command="prepare-images",
    remedy="prepare the images again",
    limit="imaging.max_failed_fraction",
)
write_manifest, read_manifest = MANIFEST.write, MANIFEST.read
merge_manifests, check_failures = MANIFEST.merge, MANIFEST.check_failures


def note_copies(path: Path) -> None:
    """Write into a manifest which volumes of different patients have the same voxels."""
    rows = read_manifest(path)
    owners: dict[str, set[str]] = {}
    for row in rows:
        if row.voxels_sha256:
            owners.setdefault(row.voxels_sha256, set()).add(row.patient_id)
    noted = []
    for row in rows:
        others = sorted(owners.get(row.voxels_sha256, set()) - {row.patient_id})
        if others:
            said = f"holds the same voxels as a volume of {', '.join(others[:SHOWN_OWNERS])}"
            log.warning("%s %s %s %s; check whose scan it is", *row.key, said)
            row = replace(row, reason="; ".join(filter(None, [row.reason, said])))
        noted.append(row)
    if noted != rows:
        write_manifest(path, noted)


@dataclass(frozen=True)
class Prepared:
    """A prepared volume as training reads it."""

    volume: NDArray[Any]  # (I, J, K) float16 or float32
    mask: Mask  # (I, J, K)
    affine: Affine  # (4, 4) voxel index to RAS mm


def paths_of(patient_id: str, visit: str, modality: str) -> dict[str, Path]:
    """Files of a volume, relative to the image directory, by the manifest's column names."""
    folder = Path("volumes") / patient_id / visit
    ends = (".nii.gz", ".safetensors", "_mask.nii.gz", "_transform.txt", ".png", "_alignment.png")
    return {name: folder / f"{modality}{end}" for name, end in zip(FILES, ends, strict=True)} | {
        "record": folder / f"{modality}.json"
    }


def write_nifti(path: Path, data: NDArray[Any], affine: Affine) -> None:
    """Write a NIfTI volume with its affine as sform and qform, in mm."""
    import nibabel as nib

    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="aligned")
    image.set_qform(affine, code="aligned")
    # Compressed here: the name of a temporary file would otherwise get into the bytes.
    with atomic_path(path) as temporary:
        temporary.write_bytes(compressed(image.to_bytes()))


def compressed(content: bytes) -> bytes:
    """Gzip without name and time, so that equal content gives equal bytes."""
    import gzip

    return gzip.compress(content, compresslevel=4, mtime=0)


def in_format(data: Array, dtype: str) -> NDArray[Any]:
    """The voxels in a number format. Raises NotFinite where it cannot hold them."""
    with np.errstate(over="ignore"):
        kept = np.ascontiguousarray(data.astype(dtype))
    if not np.isfinite(kept).all():
        raise NotFinite(
            f"values go up to {np.abs(data).max():.3g}, more than {dtype} can hold; set "
            "imaging.normalise to true, or imaging.cache_dtype to float32"
        )
    return kept


def write_tensor(path: Path, data: Array, mask: Mask, affine: Affine, dtype: str) -> None:
    """Write the tensors that training reads: `volume`, `mask` (0 or 1) and `affine`.

    Raises NotFinite where the number format cannot hold the values.
    """
    from safetensors.numpy import save

    tensors = {
        "volume": in_format(data, dtype),
        "mask": np.ascontiguousarray(mask.astype(np.uint8)),
        "affine": np.ascontiguousarray(affine),
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors))


def read_tensor(path: Path) -> Prepared:
    """Read what `write_tensor` wrote; UserInputError if the file is something else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
        return Prepared(tensors["volume"], tensors["mask"].astype(np.bool_), tensors["affine"])
    except (OSError, KeyError, SafetensorError):
        raise UserInputError(f"{path}: no prepared volume; run prepare-images again") from None


def write_transform(path: Path, matrix: Affine) -> None:
    """Write a transform as four rows of four numbers."""
    rows = (" ".join(f"{value:.9g}" for value in row) for row in matrix.tolist())
    write_text(path, "\n".join(rows) + "\n")


def write_record(path: Path, status: VolumeStatus, fingerprint: str) -> None:
    """Write the record of a volume; everything else of it must be there already."""
    write_json(path, {"schema": SCHEMA, "fingerprint": fingerprint, "status": asdict(status)})


def read_record(out: Path, record: Path, fingerprint: str) -> VolumeStatus | None:
    """The status of a volume completed earlier from the same files and settings, or None.

    None also where the tensor is not the one that was written then.
    """
    try:
        stored = read_json(out / record)
        if stored["schema"] != SCHEMA or stored["fingerprint"] != fingerprint:
            return None
        status = VolumeStatus(**stored["status"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged
        return None
    needed = [getattr(status, name) for name in FILES if getattr(status, name)]
    if not all((out / name).is_file() for name in needed):
        return None
    if status.status == OK and sha256_file(out / status.tensor) != status.tensor_sha256:
        log.warning("%s: changed after it was prepared; prepared again", out / status.tensor)
        return None
    return status
