"""The files of the slide stage: tile coordinates, embeddings, and the manifest of all slides.

Coordinates are level-0 pixels of a tile's top-left corner, x before y. Both HDF5 files follow the
layout of TRIDENT; what TRIDENT has no place for (exact resolution, hashes) is in attributes whose
names begin with survfuse_, which other readers ignore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from survfuse.files import atomic_path
from survfuse.manifest import Manifest
from survfuse.slides.faults import BadFeatures
from survfuse.slides.tiles import Tiles, side_px0

SCHEMA = 1
NOMINAL_MAGNIFICATIONS = (1, 2, 5, 10, 20, 40, 60, 80)
MPP_AT_1X = 10.0  # by convention: 20x is 0.5 micrometres per pixel


@dataclass(frozen=True)
class SlideFacts:
    """What the coordinates of a slide depend on."""

    slide_id: str
    sha256: str
    size_px0: tuple[int, int]
    mpp: float
    mpp_source: str
    target_mpp: float
    tile_px: int


@dataclass(frozen=True)
class TileFeatures:
    """The embeddings of a slide as they are stored."""

    features: NDArray[Any]  # (N, D) float16, float32 or float64; read-only, maybe memory-mapped
    coords: NDArray[np.int64]  # (N, 2) level-0 pixels; (0..N-1, 0) where the file has none
    tile_px0: float  # side of a tile in level-0 pixels; 0 where it is not known


@dataclass(frozen=True)
class SlideStatus:
    """One row of the manifest. Paths are relative to the slide directory, or absolute."""

    slide_id: str
    patient_id: str
    status: str  # ok or quarantined
    reason: str = ""  # why quarantined; for usable slides, what the reader should know
    n_tiles: int = 0
    mpp: float | None = None
    mpp_source: str = ""
    tissue_mm2: float | None = None
    ink_share: float | None = None
    patches: str = ""
    features: str = ""
    overview: str = ""
    features_sha256: str = ""  # of usable slides, by which later stages see other embeddings

    @property
    def key(self) -> tuple[str]:
        """What identifies a slide."""
        return (self.slide_id,)


MANIFEST = Manifest(
    SlideStatus,
    items="slides",
    command="process-slides",
    remedy="process the slides again",
    limit="slides.max_failed_fraction",
    before_key="slide ",
)
write_manifest, read_manifest = MANIFEST.write, MANIFEST.read
merge_manifests, check_failures = MANIFEST.merge, MANIFEST.check_failures


def tree_name(target_mpp: float, tile_px: int) -> str:
    """TRIDENT's name of the directory for a resolution and tile size."""
    return f"{round(MPP_AT_1X / target_mpp, 2):g}x_{tile_px}px_0px_overlap"


def nominal_magnification(mpp: float) -> int:
    """The usual magnification nearest to a resolution, for readers that know no other unit."""
    return min(NOMINAL_MAGNIFICATIONS, key=lambda m: abs(np.log(m * mpp / MPP_AT_1X)))


def coordinate_attributes(facts: SlideFacts, directory: str) -> dict[str, Any]:
    """TRIDENT's attributes of a coordinates dataset, and ours."""
    side = side_px0(facts.tile_px, facts.target_mpp, facts.mpp)
    return {
        "patch_size": facts.tile_px,
        "patch_size_level0": round(side),
        "level0_magnification": nominal_magnification(facts.mpp),
        "target_magnification": nominal_magnification(facts.target_mpp),
        "overlap": 0,
        "name": facts.slide_id,
        "savetodir": directory,
        "level0_width": facts.size_px0[0],
        "level0_height": facts.size_px0[1],
        "survfuse_schema": SCHEMA,
        "survfuse_mpp": facts.mpp,
        "survfuse_mpp_source": facts.mpp_source,
        "survfuse_target_mpp": facts.target_mpp,
        "survfuse_slide_sha256": facts.sha256,
    }


def write_coords(path: Path, tiles: Tiles, facts: SlideFacts) -> None:
    """Write TRIDENT's `*_patches.h5`, with the tissue share per tile as a further dataset."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        add_coords(file, tiles, facts, path.parent.name)
        file.create_dataset("tissue", data=tiles.tissue.astype(np.float16))


def write_features(
    path: Path,
    features: NDArray[np.float16],
    tiles: Tiles,
    facts: SlideFacts,
    attributes: Mapping[str, Any],
) -> None:
    """Write TRIDENT's `features_*/*.h5`: (N, D) float16 in one piece, and the coordinates.

    `attributes` are added to the dataset of embeddings. Raises BadFeatures, and writes nothing,
    if a number is not finite.
    """
    check_finite(features)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        dataset = file.create_dataset("features", data=features)
        dataset.attrs.update({"name": facts.slide_id, "savetodir": path.parent.name, **attributes})
        add_coords(file, tiles, facts, path.parent.name)


def add_coords(file: h5py.File, tiles: Tiles, facts: SlideFacts, directory: str) -> None:
    """Add the coordinates with their attributes to an open file."""
    dataset = file.create_dataset("coords", data=tiles.coords.astype(np.int64))
    dataset.attrs.update(coordinate_attributes(facts, directory))


def check_finite(features: NDArray[Any]) -> None:
    """Raise BadFeatures if any embedding is infinite or not a number."""
    bad = int((~np.isfinite(features)).any(axis=1).sum())
    if bad:
        raise BadFeatures(
            f"{bad} of {len(features)} embeddings are infinite or not a number; check the weights "
            "of the encoder (16-bit floats end at 65504)"
        )


def read_features(path: Path) -> TileFeatures:
    """Embeddings of one slide, from files of this program, TRIDENT, CLAM, or of others.

    Embeddings that are stored in one piece, as this program does, are mapped rather than read: a
    cohort larger than memory can be opened, and pages are read when somebody looks at them. The
    only requirement is a dataset `features` (N, D) with at least one row; `coords` may be
    missing. Raises BadFeatures with what is wrong.
    """
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("features"), h5py.Dataset):
                raise BadFeatures("the HDF5 file has no dataset named features; write one (N, D)")
            features = mapped(path, file["features"])
            coords = file["coords"][:].astype(np.int64) if "coords" in file else None
            side = stored_side_px0(file["coords"]) if coords is not None else 0.0
    except OSError:
        raise BadFeatures("the embeddings cannot be read as HDF5; copy the file again") from None
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind != "f":
        raise BadFeatures(
            f"the embeddings are {features.dtype} of shape {features.shape}; needed are floating "
            "point numbers (N, D) with at least one row"
        )
    if coords is None:
        coords = np.stack([np.arange(len(features)), np.zeros(len(features), np.int64)], axis=1)
    if coords.shape != (len(features), 2):
        raise BadFeatures(
            f"there are {len(features)} embeddings but coordinates of shape {coords.shape}; "
            "needed is one (x, y) per embedding"
        )
    return TileFeatures(features, coords, side)


def mapped(path: Path, dataset: h5py.Dataset) -> NDArray[Any]:
    """A dataset as a read-only memory map, or read where it is compressed, in chunks or empty."""
    start = dataset.id.get_offset()
    if start is None or dataset.size == 0 or dataset.dtype.kind != "f":
        return np.asarray(dataset[:])
    return np.memmap(path, dataset.dtype, "r", start, dataset.shape)


def stored_side_px0(coords: h5py.Dataset) -> float:
    """Side of a tile in level-0 pixels, from whichever attributes the writer left.

    In TRIDENT's files `patch_size` counts pixels at the target resolution, in CLAM's at
    `patch_level`. CLAM's embeddings have no attributes; the smallest step then serves.
    """
    attributes = coords.attrs
    if "survfuse_mpp" in attributes:
        target = attributes["survfuse_target_mpp"]
        return side_px0(int(attributes["patch_size"]), target, attributes["survfuse_mpp"])
    if "patch_size_level0" in attributes:
        return float(attributes["patch_size_level0"])
    if "patch_level" in attributes:
        downsample = attributes.get("downsample", 1.0 if attributes["patch_level"] == 0 else 0.0)
        return float(attributes["patch_size"] * np.ravel(downsample)[0])
    if "level0_magnification" in attributes:
        ratio = attributes["level0_magnification"] / attributes["target_magnification"]
        return float(attributes["patch_size"] * ratio)
    steps = np.diff(np.unique(coords[:, 0])) if len(coords) else np.array([])
    return float(steps.min()) if len(steps) else 0.0
