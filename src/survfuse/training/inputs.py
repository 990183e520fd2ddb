"""What a model sees of patients: tile embeddings, genes and covariates, joined by patient id.

Nothing here knows an outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.errors import UserInputError
from survfuse.omics.matrix import OmicsMatrix, read_matrix
from survfuse.slides.store import read_features, read_manifest


@dataclass(frozen=True)
class Bag:
    """All usable tiles of one patient, slide after slide."""

    features: np.ndarray  # (N, D) float16 or float32, raw
    grid: np.ndarray  # (N, 2) int64: column and row of the tile; slides lie side by side
    coords: np.ndarray  # (N, 2) int64 level-0 pixels of the tile's corner
    tile_px0: np.ndarray  # (N,) float64 side of the tile in level-0 pixels
    slide_id: np.ndarray  # (N,) str


@dataclass(frozen=True)
class CohortInputs:
    """The inputs of all patients, by patient id."""

    clinical: pd.DataFrame  # raw text values, indexed by patient_id
    bags: dict[str, Bag]  # only patients with at least one usable slide
    omics: OmicsMatrix | None

    @property
    def slides_dim(self) -> int | None:
        """Width of the tile embeddings, None without slides."""
        return next((bag.features.shape[1] for bag in self.bags.values()), None)


def load_inputs(clinical: Path, manifest: Path | None, omics: Path | None) -> CohortInputs:
    """Read the inputs of a cohort.

    Raises UserInputError where the slides of the cohort have embeddings of different widths.
    """
    frame = pd.read_csv(clinical, sep="\t", dtype=str, keep_default_na=False)
    bags = load_bags(manifest) if manifest else {}
    return CohortInputs(
        clinical=frame.set_index("patient_id"),
        bags=bags,
        omics=read_matrix(omics) if omics else None,
    )


def load_bags(manifest: Path) -> dict[str, Bag]:
    """Read the embeddings of all usable slides and join those of a patient into one bag."""
    per_patient: dict[str, list[tuple[str, Path]]] = {}
    for status in read_manifest(manifest):
        if status.status == "ok":
            path = manifest.parent / status.features
            per_patient.setdefault(status.patient_id, []).append((status.slide_id, path))
    bags: dict[str, Bag] = {}
    width: int | None = None
    for patient_id, slides in sorted(per_patient.items()):
        bags[patient_id] = join_slides(sorted(slides))
        found = bags[patient_id].features.shape[1]
        if width is not None and found != width:
            raise UserInputError(
                f"{manifest}: slide {slides[0][0]} has embeddings of width {found}, others "
                f"{width}; embed all slides with the same encoder"
            )
        width = found
    return bags


def join_slides(slides: Sequence[tuple[str, Path]]) -> Bag:
    """One bag from the (slide_id, features file) pairs of a patient."""
    features, grids, coords, sides, names = [], [], [], [], []
    next_column = 0
    for slide_id, path in slides:
        stored = read_features(path)
        corner, side = stored.coords, stored.tile_px0
        # Tile corners are rounded multiples of the tile side, so rounding recovers the grid.
        grid = np.rint((corner - corner.min(axis=0)) / max(side, 1.0)).astype(np.int64)
        grid[:, 0] += next_column
        next_column = int(grid[:, 0].max()) + 2
        features.append(stored.features)
        grids.append(grid)
        coords.append(corner)
        sides.append(np.full(len(corner), side))
        names.append(np.full(len(corner), slide_id))
    return Bag(*(np.concatenate(part) for part in (features, grids, coords, sides, names)))
