"""The files of the slide stage: tile coordinates, embeddings, and the manifest of all slides.

Coordinates are level-0 pixels of a tile's top-left corner, x before y. Both HDF5 files follow the
layout of TRIDENT; what TRIDENT has no place for (exact resolution, hashes) is in attributes whose
names begin with survfuse_, which other readers ignore.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from survfuse.artifacts.manifest import Manifest
from survfuse.core.brought_files import UnusableFileError, require_regular
from survfuse.core.files import atomic_path
from survfuse.core.hdf5_files import new_hdf5, open_hdf5
from survfuse.modalities.slides.faults import BadFeatures
from survfuse.modalities.slides.formats.hdf5_guard import own_dataset, read_numbers
from survfuse.modalities.slides.formats.other_tools import (
    MPP_AT_1X,
    encoder_of,
    in_micrometres,
    kind_of_file,
    positions_of,
    read_tensor,
    tile_um_of,
)
from survfuse.modalities.slides.reading.tiles import Tiles, side_px0

SCHEMA = 1
NOMINAL_MAGNIFICATIONS = (1, 2, 5, 10, 20, 40, 60, 80)
MOST_BYTES = 4 * 2**30  # that embeddings of one slide take, unless they are mapped
FINITE_AT_ONCE = 2**24  # numbers


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
    encoder: str = ""  # what made them, where the file tells
    tile_um: float | None = None  # side of a tile in micrometres, where the file tells
    note: str = ""  # what the reader should know
    needs_mpp: bool = False  # whether the size of a level-0 pixel would give coordinates


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
    source_sha256: str = ""  # of the slide's file, or of embeddings made elsewhere
    encoder: str = ""  # what made the embeddings, where that is known
    tile_um: float | None = None  # side of a tile in micrometres, where that is known
    pixels: str = ""  # how pixels were prepared for the encoder, and what says so

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
    with atomic_path(path) as temporary, new_hdf5(temporary) as file:
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
    with atomic_path(path) as temporary, new_hdf5(temporary) as file:
        dataset = file.create_dataset("features", data=features)
        dataset.attrs.update(
            {
                "name": facts.slide_id,
                "savetodir": path.parent.name,
                "survfuse_content_sha256": content_sha256(features, tiles.coords),
                **attributes,
            }
        )
        add_coords(file, tiles, facts, path.parent.name)


def add_coords(file: h5py.File, tiles: Tiles, facts: SlideFacts, directory: str) -> None:
    """Add the coordinates with their attributes to an open file."""
    dataset = file.create_dataset("coords", data=tiles.coords.astype(np.int64))
    dataset.attrs.update(coordinate_attributes(facts, directory))


def content_sha256(features: NDArray[Any], coords: NDArray[np.int64]) -> str:
    """Hash of embeddings and their coordinates, by which damage to a file is seen."""
    digest = hashlib.sha256()
    for values in (features, coords.astype(np.int64)):
        digest.update(f"{values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def check_finite(features: NDArray[Any]) -> None:
    """Raise BadFeatures if any embedding is infinite or not a number."""
    rows = max(1, FINITE_AT_ONCE // max(1, features.shape[1]))
    bad = sum(
        int((~np.isfinite(features[start : start + rows])).any(axis=1).sum())
        for start in range(0, len(features), rows)
    )
    if bad:
        raise BadFeatures(
            f"{bad} of {len(features)} embeddings are infinite or not a number; check the weights "
            "of the encoder (16-bit floats end at 65504)"
        )


def read_features(
    path: Path, mpp: float | None = None, most_bytes: int = MOST_BYTES
) -> TileFeatures:
    """Embeddings of one slide, from files of this program, TRIDENT, CLAM, STAMP, or of others.

    Embeddings that are stored in one piece, as this program does, are mapped rather than read: a
    cohort larger than memory can be opened, and pages are read when somebody looks at them. The
    only requirement is a dataset `features` (or `feats`) of shape (N, D) or (1, N, D) with at
    least one row, or a PyTorch file with such a tensor; `coords` may be missing. `mpp` is the size
    of a level-0 pixel, which coordinates in micrometres need. Files that refer to others are
    refused, and those that take more than `most_bytes` to read. Raises BadFeatures with what is
    wrong.
    """
    try:
        require_regular(path)
        kind = kind_of_file(path)
        if kind == "pytorch":
            return without_positions(checked_shape(read_tensor(path)))
        if kind == "hdf5":
            with open_hdf5(path) as file:
                return read_hdf5(file, path, mpp, most_bytes)
    except UnusableFileError as error:
        raise BadFeatures(f"the file of embeddings {error}") from None
    except (OSError, RuntimeError, KeyError, ValueError, OverflowError):
        raise BadFeatures(
            "the embeddings cannot be read: the file is damaged or cut short; copy it again"
        ) from None
    raise BadFeatures(
        f"the file of embeddings is {kind}; needed is HDF5 with a dataset features (N, D), or a "
        "PyTorch file with a tensor (N, D)"
    )


def write_converted(path: Path, stored: TileFeatures) -> None:
    """Write embeddings of another program whose positions are now level-0 pixels."""
    with atomic_path(path) as temporary, new_hdf5(temporary) as file:
        file["features"], file["coords"] = stored.features, stored.coords
        file["features"].attrs["encoder"] = stored.encoder
        file["coords"].attrs["patch_size_level0"] = stored.tile_px0
        if stored.tile_um is not None:
            file.attrs["tile_size_um"] = stored.tile_um


def read_hdf5(file: h5py.File, path: Path, mpp: float | None, most_bytes: int) -> TileFeatures:
    """Embeddings from an open HDF5 file; see `read_features`."""
    dataset = own_dataset(file, "features") or own_dataset(file, "feats")
    if dataset is None:
        raise BadFeatures("the HDF5 file has no dataset named features; write one (N, D)")
    features = checked_shape(read_numbers(dataset, path, most_bytes))
    placed = own_dataset(file, "coords")
    found = without_positions(
        features, encoder=encoder_of(file, dataset), tile_um=tile_um_of(file, placed)
    )
    if placed is None:
        return found
    coords = np.asarray(read_numbers(placed, path, most_bytes))
    if coords.shape == (1, len(features), 2):
        coords = coords[0]
    if coords.shape != (len(features), 2):
        raise BadFeatures(
            f"there are {len(features)} embeddings but coordinates of shape {coords.shape}; "
            "needed is one (x, y) per embedding"
        )
    positions = positions_of(file, placed, coords, mpp)
    if isinstance(positions, str):
        needs_mpp = mpp is None and in_micrometres(file, placed)
        return replace(found, note=positions, needs_mpp=needs_mpp)
    return replace(found, coords=positions.coords, tile_px0=positions.side_px0)


def checked_shape(features: NDArray[Any]) -> NDArray[Any]:
    """Embeddings as (N, D), without a leading axis of 1. Raises BadFeatures for other shapes."""
    if features.ndim == 3 and len(features) == 1:
        features = features[0]
    wide = features.dtype.itemsize in (2, 4, 8)
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind != "f" or not wide:
        raise BadFeatures(
            f"the embeddings are {features.dtype} of shape {features.shape}; needed are floating "
            "point numbers (N, D) with at least one row"
        )
    return features


def without_positions(
    features: NDArray[Any], encoder: str = "", tile_um: float | None = None
) -> TileFeatures:
    """Embeddings whose places are not known: side by side in one row."""
    coords = np.stack([np.arange(len(features)), np.zeros(len(features), np.int64)], axis=1)
    return TileFeatures(features, coords, 0.0, encoder, tile_um)
