"""The tiles of a patient as training holds them: embeddings on disk, and 8 bytes for each tile.

A cohort has tens of millions of tiles, and every training job opens it. Embeddings are therefore
mapped and read where they are looked at, and where the tiles lie on their slides, which only the
attention that is shown in reports needs, is read again then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from survfuse.artifacts.manifest import OK
from survfuse.core.errors import UserInputError
from survfuse.core.files import require_unchanged
from survfuse.modalities.slides.faults import SlideFault
from survfuse.modalities.slides.merging import check_one_encoder
from survfuse.modalities.slides.store import TileFeatures, read_features, read_manifest


class SlideFile(NamedTuple):
    """Embeddings of a slide: its id, their file, and its micrometres per pixel where known."""

    slide_id: str
    path: Path
    mpp: float | None = None


@dataclass(frozen=True)
class TilePlaces:
    """Where N tiles lie."""

    slide_id: np.ndarray  # (N,) str
    coords: np.ndarray  # (N, 2) int64 level-0 pixels of the tile's corner
    tile_px0: np.ndarray  # (N,) float64 side of the tile in level-0 pixels; 0 where not known


@dataclass(frozen=True)
class Bag:
    """All usable tiles of one patient, slide after slide."""

    slides: tuple[np.ndarray, ...]  # per slide (N_s, D) float16 or float32, raw; may be on disk
    grid: np.ndarray  # (N, 2) int32: column and row of the tile; slides lie side by side
    names: tuple[str, ...]  # ids of the slides
    files: tuple[SlideFile, ...] = ()  # of the slides; none where the tiles are in memory alone

    def __len__(self) -> int:
        return len(self.grid)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send memory-mapped embeddings to other processes as their place in the file."""
        slides = tuple(map(place_in_file, self.slides))
        return restored, (slides, self.grid, self.names, self.files)

    @property
    def width(self) -> int:
        """Width D of the embeddings."""
        return int(self.slides[0].shape[1])

    @property
    def features(self) -> np.ndarray:
        """All embeddings (N, D) at once."""
        return self.slides[0] if len(self.slides) == 1 else np.concatenate(self.slides)

    def rows(self, chosen: np.ndarray) -> np.ndarray:
        """Embeddings (len(chosen), D) of some tiles, of which only these are read."""
        ends = np.cumsum([len(slide) for slide in self.slides])
        kind = np.result_type(*{slide.dtype for slide in self.slides})
        found = np.empty((len(chosen), self.width), dtype=kind)
        owner = np.searchsorted(ends, chosen, side="right")
        for number, (slide, end) in enumerate(zip(self.slides, ends, strict=True)):
            here = owner == number
            found[here] = slide[chosen[here] - (end - len(slide))]
        return found

    def places(self) -> TilePlaces:
        """Where the tiles lie, read from the files anew; on the grid where there are none."""
        sizes = [len(slide) for slide in self.slides]
        names = np.repeat(np.array(self.names), sizes)
        if not self.files:
            return TilePlaces(names, self.grid.astype(np.int64), np.zeros(len(self)))
        stored = [read_slide(file) for file in self.files]
        return TilePlaces(
            names,
            np.concatenate([one.coords for one in stored]),
            np.repeat([one.tile_px0 for one in stored], sizes),
        )


Place = tuple[str, np.dtype, int, tuple[int, ...]]  # file, type, offset, shape


def place_in_file(values: np.ndarray) -> np.ndarray | Place:
    """Where a whole memory map lies in its file; other arrays as they are."""
    if isinstance(values, np.memmap) and values.filename is not None:
        return str(values.filename), values.dtype, values.offset, values.shape
    return values


def restored(slides: Sequence[np.ndarray | Place], *rest: Any) -> Bag:
    """The inverse of `Bag.__reduce__`."""
    opened = tuple(
        np.memmap(slide[0], slide[1], "r", *slide[2:]) if isinstance(slide, tuple) else slide
        for slide in slides
    )
    return Bag(opened, *rest)


def load_bags(manifest: Path, patient_ids: Collection[str] | None = None) -> dict[str, Bag]:
    """The tiles of patients, of all unless some are named, whose slides are usable.

    Every file is read through once and compared with the hash that the manifest recorded. Raises
    UserInputError where one was changed, or where they are of different encoders or widths.
    """
    per_patient: dict[str, list[SlideFile]] = {}
    statuses = read_manifest(manifest)
    check_one_encoder(manifest, statuses)
    for status in statuses:
        if status.status != OK or (
            patient_ids is not None and status.patient_id not in patient_ids
        ):
            continue
        path = manifest.parent / status.features
        require_unchanged(path, status.features_sha256, manifest, "process the slide again")
        file = SlideFile(status.slide_id, path, status.mpp)
        per_patient.setdefault(status.patient_id, []).append(file)
    bags: dict[str, Bag] = {}
    width: int | None = None
    for patient_id, slides in sorted(per_patient.items()):
        bags[patient_id] = join_slides(sorted(slides))
        found = bags[patient_id].width
        if width is not None and found != width:
            raise UserInputError(
                f"{manifest}: slide {slides[0][0]} has embeddings of width {found}, others "
                f"{width}; embed all slides with the same encoder"
            )
        width = found
    return bags


def join_slides(slides: Sequence[SlideFile]) -> Bag:
    """One bag from the files of a patient's slides."""
    features, grids = [], []
    next_column = 0
    for file in slides:
        stored = read_slide(file)
        corner, side = stored.coords, stored.tile_px0
        # Tile corners are rounded multiples of the tile side, so rounding recovers the grid.
        grid = np.rint((corner - corner.min(axis=0)) / max(side, 1.0)).astype(np.int32)
        grid[:, 0] += next_column
        next_column = int(grid[:, 0].max()) + 2
        features.append(stored.features)
        grids.append(grid)
    names = tuple(file.slide_id for file in slides)
    return Bag(tuple(features), np.concatenate(grids), names, tuple(slides))


def read_slide(file: SlideFile) -> TileFeatures:
    """The embeddings of a slide. Raises UserInputError where they are no longer readable."""
    try:
        return read_features(file.path, file.mpp)
    except SlideFault as fault:
        raise UserInputError(f"{file.path}: slide {file.slide_id}: {fault}") from None
