"""What a model sees of patients: tiles, genes, covariates and volumes, joined by patient id.

Nothing here knows an outcome.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.cohort.tables import read_clinical
from survfuse.config_imaging import IMAGES, MADE_FROM
from survfuse.errors import UserInputError
from survfuse.files import atomic_path, sha256_file, sha256_json
from survfuse.imaging.choice import chosen_tensors
from survfuse.imaging.synthetic import synthetic_paths
from survfuse.kinds import MODALITIES
from survfuse.omics.matrix import OmicsMatrix, read_matrix
from survfuse.slides.store import read_features, read_manifest

SYNTHETIC = "synthetic_"
STAND_INS = tuple(f"{SYNTHETIC}{image}" for image in IMAGES)
VOLUMES = (*IMAGES, *STAND_INS)


@dataclass(frozen=True)
class Bag:
    """All usable tiles of one patient, slide after slide."""

    slides: tuple[np.ndarray, ...]  # per slide (N_s, D) float16 or float32, raw; may be on disk
    grid: np.ndarray  # (N, 2) int64: column and row of the tile; slides lie side by side
    coords: np.ndarray  # (N, 2) int64 level-0 pixels of the tile's corner
    tile_px0: np.ndarray  # (N,) float64 side of the tile in level-0 pixels
    slide_id: np.ndarray  # (N,) str

    def __len__(self) -> int:
        return len(self.grid)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send memory-mapped embeddings to other processes as their place in the file."""
        slides = tuple(map(place_in_file, self.slides))
        return restored, (slides, self.grid, self.coords, self.tile_px0, self.slide_id)

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


Place = tuple[str, np.dtype, int, tuple[int, ...]]  # file, type, offset, shape


def place_in_file(values: np.ndarray) -> np.ndarray | Place:
    """Where a whole memory map lies in its file; other arrays as they are."""
    if isinstance(values, np.memmap) and values.filename is not None:
        return str(values.filename), values.dtype, values.offset, values.shape
    return values


def restored(slides: Sequence[np.ndarray | Place], *rest: np.ndarray) -> Bag:
    """The inverse of `Bag.__reduce__`."""
    opened = tuple(
        np.memmap(slide[0], slide[1], "r", *slide[2:]) if isinstance(slide, tuple) else slide
        for slide in slides
    )
    return Bag(opened, *rest)


@dataclass(frozen=True)
class CohortInputs:
    """The inputs of all patients, by patient id."""

    clinical: pd.DataFrame  # raw text values, indexed by patient_id
    bags: dict[str, Bag]  # only patients with at least one usable slide
    omics: OmicsMatrix | None
    # Tensor files of prepared volumes by modality (mri, pet) and patient, and of the synthesised
    # ones (synthetic_mri, synthetic_pet), which count only where the real one is absent and the
    # one they were made from is not.
    volumes: dict[str, dict[str, Path]] = field(default_factory=dict)

    def without(self, withheld: Mapping[str, Collection[str]]) -> CohortInputs:
        """The inputs as if `withheld[modality]` patients did not have that modality."""
        clinical = self.clinical
        if hidden := withheld.get("clinical"):
            clinical = clinical.copy()
            clinical.loc[clinical.index.isin(list(hidden))] = ""
        gone = set(withheld.get("slides", ()))
        omics = self.omics
        if omics is not None and withheld.get("omics"):
            omics = omics.without(withheld["omics"])
        bags = {patient: bag for patient, bag in self.bags.items() if patient not in gone}
        volumes = {
            image: {who: path for who, path in paths.items() if who not in withheld.get(image, ())}
            for image, paths in self.volumes.items()
        }
        return CohortInputs(clinical, bags, omics, volumes)

    def available(self, modality: str, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: which patients have the modality; clinical means any covariate at all."""
        if modality in VOLUMES:
            there = set(self.volumes.get(modality, {}))
            if modality.startswith(SYNTHETIC):
                image = modality.removeprefix(SYNTHETIC)
                there &= set(self.volumes.get(MADE_FROM[image], {}))
                there -= set(self.volumes.get(image, {}))
            return np.array([who in there for who in patient_ids], dtype=bool)
        if modality == "slides":
            return np.array([patient in self.bags for patient in patient_ids], dtype=bool)
        if modality == "omics":
            if self.omics is None:
                return np.zeros(len(patient_ids), dtype=bool)
            return np.asarray(np.isin(np.asarray(patient_ids, dtype=str), self.omics.patient_ids))
        covariates = self.clinical.loc[list(patient_ids)].drop(columns="site", errors="ignore")
        return np.asarray((covariates != "").any(axis=1), dtype=bool)


@dataclass(frozen=True)
class InputPaths:
    """Files that training and prediction may read; none of them holds an outcome."""

    splits: Path
    clinical: Path
    slides: Path | None = None
    omics: Path | None = None
    images: Path | None = None
    synthesis: Path | None = None  # directory with a folder per fold
    visit: str | None = None  # whose volumes are read; default: each patient's first

    def digest(self, fold: str | None = None) -> str:
        """Hash of the contents, by which interrupted work is recognised.

        Embeddings and volumes are among them: the tables of slides and volumes hold their hashes.
        """
        paths = [self.splits, self.clinical, self.slides, self.omics, self.images]
        if self.synthesis and fold:
            paths += [self.synthesis / fold / "synthesis.json"]
        return sha256_json([self.visit, *(sha256_file(path) if path else None for path in paths)])

    def for_fold(self, inputs: CohortInputs, fold: str) -> CohortInputs:
        """The same inputs with the volumes that were synthesised for a fold."""
        if self.synthesis is None:
            return inputs
        made = synthetic_paths(self.synthesis / fold)
        synthesised = {f"{SYNTHETIC}{image}": paths for image, paths in made.items()}
        return replace(inputs, volumes={**inputs.volumes, **synthesised})

    def load(self) -> CohortInputs:
        """Read the inputs of the cohort.

        Raises UserInputError where a file is not there or of another kind, and where its slides
        have embeddings of different widths.
        """
        return CohortInputs(
            clinical=read_clinical(self.clinical).set_index("patient_id"),
            bags=load_bags(self.slides) if self.slides else {},
            omics=read_matrix(self.omics) if self.omics else None,
            volumes=chosen_tensors(self.images, self.visit) if self.images else {},
        )

    def write_availability(self, out: Path) -> None:
        """Write who has which modality: patient_id, and 0 or 1 per modality."""
        inputs = self.load()
        ids = inputs.clinical.index.tolist()
        told = [name for name in MODALITIES if name not in IMAGES or self.images]
        columns = {name: inputs.available(name, ids).astype(int) for name in told}
        with atomic_path(out) as temporary:
            table = pd.DataFrame({"patient_id": ids, **columns})
            table.to_csv(temporary, sep="\t", index=False, lineterminator="\n")


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
        found = bags[patient_id].width
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
    return Bag(tuple(features), *(np.concatenate(part) for part in (grids, coords, sides, names)))
