"""What embeddings of TRIDENT, CLAM, STAMP and this program say about themselves.

TRIDENT: `features` (N, D) or (1, N, D), `coords` in level-0 pixels, attributes at both. CLAM:
`features` and `coords` without attributes, or a tensor (N, D) in a .pt file. STAMP: `feats`,
`coords` in micrometres, attributes at the root.
"""

from __future__ import annotations

import pickle  # for the name of its error alone; nothing is unpickled
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from survfuse.modalities.slides.faults import BadFeatures
from survfuse.modalities.slides.formats.hdf5_guard import number_of, text_of
from survfuse.modalities.slides.reading.tiles import side_px0

MPP_AT_1X = 10.0  # by convention: 20x is 0.5 micrometres per pixel
MICROMETRES = {"um", "µm", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers"}
FARTHEST_PX0 = 2**31
SIGNATURES = (
    (b"PAR1", "a Parquet table"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x80", "a Python pickle"),
    (b"\x1f\x8b", "a gzip file"),
    (b"II*\0", "a TIFF image: its place is the column path"),
    (b"MM\0*", "a TIFF image: its place is the column path"),
    (b"II+\0", "a TIFF image: its place is the column path"),
    (b"MATLAB", "a MATLAB file"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself"),
)


@dataclass(frozen=True)
class Positions:
    """Where tiles lie, as the file tells it."""

    coords: NDArray[np.int64]  # (N, 2) level-0 pixels
    side_px0: float  # of a tile; 0 where it is not known


def encoder_of(file: h5py.File, features: h5py.Dataset) -> str:
    """What made the embeddings; "" where the file does not tell."""
    told = (text_of(features, "survfuse_encoder"), text_of(features, "encoder"))
    return next((name for name in (*told, text_of(file, "extractor")) if name), "")


def tile_um_of(file: h5py.File, coords: h5py.Dataset | None) -> float | None:
    """Side of a tile in micrometres; None where the file does not tell."""
    if side := number_of(file, "tile_size_um"):
        return side
    side = number_of(coords, "patch_size") if coords is not None else None
    if coords is None or side is None:
        return None
    if target := number_of(coords, "survfuse_target_mpp"):
        return side * target
    magnification = number_of(coords, "target_magnification")
    return side * MPP_AT_1X / magnification if magnification else None


def positions_of(
    file: h5py.File, dataset: h5py.Dataset, coords: NDArray[Any], mpp: float | None
) -> Positions | str:
    """Positions of tiles in level-0 pixels, or a sentence on why they cannot be used.

    `mpp` is the size of a level-0 pixel in micrometres, which positions in micrometres need.
    """
    if not np.isfinite(coords).all() or np.abs(coords).max(initial=0) >= FARTHEST_PX0:
        return "its coordinates are no positions; maps of attention are not drawn"
    if in_micrometres(file, dataset):
        if mpp is None:
            return (
                "its coordinates are micrometres; for maps of attention write the slide's "
                "micrometres per pixel into the column mpp"
            )
        side_um = number_of(file, "tile_size_um") or smallest_step(coords)
        return Positions(np.rint(coords / mpp).astype(np.int64), side_um / mpp)
    if np.abs(coords - np.rint(coords)).max(initial=0) > 1e-3:
        return "its coordinates are no whole pixels; maps of attention are not drawn"
    return Positions(np.rint(coords).astype(np.int64), stored_side_px0(dataset))


def in_micrometres(file: h5py.File, coords: h5py.Dataset) -> bool:
    """Whether a file says that its coordinates are micrometres."""
    return (text_of(file, "unit") or text_of(coords, "unit")).casefold() in MICROMETRES


def stored_side_px0(coords: h5py.Dataset) -> float:
    """Side of a tile in level-0 pixels, from whichever attributes the writer left.

    In TRIDENT's files `patch_size` counts pixels at the target resolution, in CLAM's at
    `patch_level`. CLAM's embeddings have no attributes; the smallest step then serves.
    """
    side = number_of(coords, "patch_size")
    target, mpp = number_of(coords, "survfuse_target_mpp"), number_of(coords, "survfuse_mpp")
    if side and target and mpp:
        return side_px0(round(side), target, mpp)
    if at_level0 := number_of(coords, "patch_size_level0"):
        return at_level0
    if side and "patch_level" in coords.attrs:
        at_finest = number_of(coords, "patch_level") is None  # zero is not positive
        return side * (number_of(coords, "downsample") or float(at_finest))
    own = number_of(coords, "level0_magnification")
    wanted = number_of(coords, "target_magnification")
    if side and own and wanted:
        return side * own / wanted
    return smallest_step(np.asarray(coords[...]).reshape(-1, 2))


def smallest_step(coords: NDArray[Any]) -> float:
    """The smallest distance between two columns of tiles; 0 where there is one column."""
    steps = np.diff(np.unique(coords[:, 0]))
    return float(steps.min()) if len(steps) else 0.0


def read_tensor(path: Path) -> NDArray[Any]:
    """The tensor of a PyTorch file, as CLAM writes it. Raises BadFeatures for anything else."""
    check_archive(path)
    import torch

    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, KeyError, EOFError, TypeError):
        raise BadFeatures(
            "the PyTorch file holds more than a tensor, or is damaged; nothing else is loaded from "
            "it: save the tensor (N, D) alone, or name the .h5 file beside it"
        ) from None
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
        raise BadFeatures(
            f"the PyTorch file holds a {type(tensor).__name__}, not a tensor (N, D); save the "
            "embeddings alone, or name the .h5 file beside it"
        )
    if tensor.numel() * tensor.element_size() > path.stat().st_size:
        raise BadFeatures(
            f"the tensor of shape {tuple(tensor.shape)} is larger than its file; save it again"
        )
    if tensor.dtype == torch.bfloat16:  # which NumPy does not have
        tensor = tensor.float()
    values: NDArray[Any] = tensor.detach().contiguous().numpy()
    return values


def check_archive(path: Path) -> None:
    """Raise BadFeatures if a zip archive unpacks to more than it is long, as PyTorch's never do."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise BadFeatures("the PyTorch file is damaged or cut short; copy it again") from None
    if unpacked > path.stat().st_size:
        raise BadFeatures(
            "the PyTorch file is compressed, which PyTorch does not do; save it again"
        )


def kind_of_file(path: Path) -> str:
    """What a file is by its first bytes: "hdf5", "pytorch", or other things in words."""
    if h5py.is_hdf5(path):
        return "hdf5"
    with path.open("rb") as handle:
        head = handle.read(512)
    if not head:
        return "empty"
    if head.startswith(b"PK"):
        return kind_of_archive(path)
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[8:9] == b"{":
        return "a safetensors file"
    if is_text(head):
        return "text"
    return "of an unknown kind"


def kind_of_archive(path: Path) -> str:
    """What a zip archive is by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged zip archive"
    if any(name.endswith("data.pkl") for name in names):
        return "pytorch"
    if any(name.endswith(".npy") for name in names):
        return "NumPy arrays (.npz)"
    return "a zip archive"


def is_text(head: bytes) -> bool:
    """Whether these bytes are printable, such as those of a CSV file."""
    try:
        return (
            head[:-4]
            .decode("utf-8")
            .replace("\n", "")
            .replace("\r", "")
            .replace("\t", "")
            .isprintable()
        )
    except UnicodeDecodeError:
        return False
