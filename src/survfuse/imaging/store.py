"""The files of the imaging stage: prepared volumes, tensors, transforms, and the manifest.

Every volume has a record (JSON), written last, which holds its row of the manifest and the hash of
what it was made from; a volume whose record fits is not done again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survfuse.errors import TooManyFailuresError, UserInputError
from survfuse.files import atomic_path, read_json, write_json, write_text
from survfuse.imaging.volume import Affine, Array, Mask

SCHEMA = 1
OK, QUARANTINED = "ok", "quarantined"
SHOWN_FAULTS = 20
NUMBERS = ("seconds", "mask_ml", "dice", "similarity_before", "similarity")
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
    dice: float | None = None  # of the mask with the template's
    similarity_before: float | None = None  # mutual information, nats
    similarity: float | None = None
    volume: str = ""
    tensor: str = ""
    mask: str = ""
    transform: str = ""
    picture: str = ""
    alignment: str = ""  # picture of the registration

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies a volume."""
        return self.patient_id, self.visit, self.modality


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


def write_tensor(path: Path, data: Array, mask: Mask, affine: Affine, dtype: str) -> None:
    """Write the tensors that training reads: `volume`, `mask` (0 or 1) and `affine`."""
    from safetensors.numpy import save

    tensors = {
        "volume": np.ascontiguousarray(data.astype(dtype)),
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
    """The status of a volume completed earlier from the same files and settings, or None."""
    try:
        stored = read_json(out / record)
        if stored["schema"] != SCHEMA or stored["fingerprint"] != fingerprint:
            return None
        status = VolumeStatus(**stored["status"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged
        return None
    needed = [getattr(status, name) for name in FILES if getattr(status, name)]
    return status if all((out / name).is_file() for name in needed) else None


def write_manifest(path: Path, rows: Iterable[VolumeStatus]) -> None:
    """Write the status of volumes, sorted by patient, visit and modality."""
    columns = [field.name for field in fields(VolumeStatus)]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for row in sorted(rows, key=lambda row: row.key):
            writer.writerow({name: cell(value) for name, value in asdict(row).items()})


def cell(value: str | float | None) -> str:
    """A value as text; numbers with six digits, None as the empty cell."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_manifest(path: Path) -> list[VolumeStatus]:
    """Read the status of volumes; UserInputError if the file is no manifest."""
    columns = [field.name for field in fields(VolumeStatus)]
    with Path(path).open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle, delimiter="\t")
        if reader.fieldnames != columns:
            raise UserInputError(f"{path}: is no manifest of volumes; run prepare-images again")
        return [parse_status(row) for row in reader]


def parse_status(row: Mapping[str, str]) -> VolumeStatus:
    """The row of a manifest with its numbers as numbers."""
    values: dict[str, Any] = dict(row)
    for name in NUMBERS:
        values[name] = float(row[name]) if row[name] else None
    return VolumeStatus(**values)


def merge_manifests(batches: Sequence[Path], out: Path) -> None:
    """Join the manifests of all batches into one; UserInputError if a volume is in two."""
    merged: dict[tuple[str, str, str], VolumeStatus] = {}
    for path in batches:
        for row in read_manifest(path):
            if row.key in merged:
                raise UserInputError(
                    f"{path}: {' '.join(row.key)} is already in another batch; delete the "
                    "manifests of the batches and prepare the images again"
                )
            merged[row.key] = row
    write_manifest(out, merged.values())


def check_failures(manifest: Path, max_failed_fraction: float) -> None:
    """Raise TooManyFailuresError, with volumes and reasons, if more than this part failed."""
    rows = read_manifest(manifest)
    failed = [row for row in rows if row.status != OK]
    if len(failed) <= max_failed_fraction * len(rows):
        return
    shown = [f"  {' '.join(row.key)}: {row.reason}" for row in failed[:SHOWN_FAULTS]]
    if len(failed) > SHOWN_FAULTS:
        shown.append(f"  and {len(failed) - SHOWN_FAULTS} more, see {manifest}")
    raise TooManyFailuresError(
        f"{len(failed)} of {len(rows)} volumes are quarantined, more than "
        f"imaging.max_failed_fraction = {max_failed_fraction:g} allows; mend or remove them, or "
        "raise that limit:\n" + "\n".join(shown)
    )
