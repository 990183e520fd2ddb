"""MRI and PET as modalities: one token that holds all voxels, or regional measures."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.manifest import OK
from survfuse.config.imaging import IMAGES
from survfuse.config.study import Config
from survfuse.modalities.by_patient import ByPatient
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.protocol import (
    CheckedSheets,
    Modality,
    Scaling,
    Store,
    TokenReader,
    Tokens,
    TokenShape,
)
from survfuse.modalities.registry import MODALITIES as REGISTRY
from survfuse.modalities.sheets import Brought, CheckedPatients, Preparation
from survfuse.modalities.volumes.choice import chosen_tensors, require_written
from survfuse.modalities.volumes.faults import VolumeFault
from survfuse.modalities.volumes.measures import measure_names, measures, read_voxels, shape_of
from survfuse.modalities.volumes.sheet import (
    REQUIRED,
    check_images,
    check_read_visits,
    check_visit_of_models,
    read_by_models,
)
from survfuse.modalities.volumes.store import (
    VolumeStatus,
    merge_manifests,
    note_copies,
    read_manifest,
)
from survfuse.sheets.findings import Findings
from survfuse.sheets.text_table import Sheet, parse_sheet

NOBODY = (16, 16, 16)  # voxels that a network reads where nobody has a volume
VISIT = "now"  # of the volume of a patient who has no sheet
FILES = ("template", "template_mask", "reference_region")  # settings that name one


class VolumeFiles(ByPatient[Path]):
    """The tensor of every patient with a usable volume of one modality."""


@dataclass(frozen=True)
class Seen:
    """Volumes are scaled when they are prepared, but a network that saw none makes noise of them.

    So there is a scaling where a training patient has a volume, and it holds nothing else.
    """

    def arrays(self) -> dict[str, np.ndarray]:
        """That there is one."""
        return {"known": np.ones(1, np.uint8)}

    def to_json(self) -> None:
        """Nothing."""


@dataclass(frozen=True)
class VoxelReader:
    """All voxels of a volume in C order; see `protocol.TokenReader`."""

    patient_ids: tuple[str, ...]
    paths: Mapping[str, Path]
    grid: tuple[int, int, int]

    @property
    def shape(self) -> TokenShape:
        """The voxels of the grid."""
        return TokenShape(math.prod(self.grid), grid=self.grid)

    def bag_size(self, row: int) -> int:
        """No patient has a bag."""
        return 0

    def read(
        self, rows: Sequence[int], shown: np.ndarray, most: int | None, seed: Sequence[int]
    ) -> Tokens:
        """Volumes (B, 1, V), zero where they are not shown."""
        values = np.zeros((len(rows), 1, math.prod(self.grid)), dtype=np.float32)
        for position in np.flatnonzero(shown).tolist():
            path = self.paths[self.patient_ids[rows[position]]]
            values[position, 0] = read_voxels(path, self.grid)
        return Tokens(values, shown[:, None])


class BrainVolume(Modality):
    """MRI or PET, of one visit of each patient."""

    source = "images"
    smallest = TokenShape(math.prod(NOBODY), grid=NOBODY)
    faults = VolumeFault.known()

    def __init__(self, name: str) -> None:
        self.name = name

    def read_sheet(
        self, config: Config, patient_ids: Collection[str] | None, found: Findings
    ) -> Sheet | None:
        """The image sheet."""
        assert config.cohort.images is not None
        return found.take(*parse_sheet(config.cohort.images, REQUIRED))

    def check_sheet(
        self, sheet: Sheet, patients: CheckedPatients, config: Config, found: Findings
    ) -> Brought:
        """The volumes with their files."""
        for key in FILES:
            path = getattr(config.imaging, key)
            if path is not None and not path.is_file():
                found.setting(f"imaging.{key}", "no such file", "correct the path")
        visit = config.imaging.visit
        images, problems = check_images(sheet, patients.ids, config.cohort)
        found.problems += problems + check_visit_of_models(sheet, visit)
        if not problems:
            problems, notes = check_read_visits(sheet, images, visit, patients.read)
            found.problems += problems
            found.notes += notes
        return Brought(images)

    def prepare(self, table: pd.DataFrame, path: Path, preparation: Preparation) -> None:
        """Correction, mask, registration and scaling of all volumes, as one batch."""
        from survfuse.modalities.volumes.batch import batch_rows, process_batch

        manifest = path.parent / "batches" / path.name
        rows, settings = batch_rows(table, 0, 1), preparation.config.imaging
        process_batch(rows, settings, path.parent, manifest, preparation.threads)
        merge_manifests([manifest], path)
        note_copies(path)

    def in_sheets(self, sheets: CheckedSheets, config: Config) -> list[str] | None:
        """Who has a volume at the visit that models read."""
        if self.source not in sheets.tables:
            return None
        read = read_by_models(sheets.tables[self.source], config.imaging.visit)
        return read.loc[read["modality"].isin(IMAGES[self.name]), "patient_id"].tolist()

    def listed(
        self, patient_id: str, files: Sequence[Path], config: Config
    ) -> list[dict[str, str]]:
        """One volume, at the visit that models read; several files are the slices in a folder."""
        [row] = super().listed(
            patient_id, [files[0].parent if len(files) > 1 else files[0]], config
        )
        return [{**row, "visit": config.imaging.visit or VISIT, "modality": self.name}]

    def open(self, paths: InputPaths, patient_ids: Collection[str] | None) -> VolumeFiles | None:
        """The tensors, each the one that was prepared."""
        manifest = paths.files.get(self.source)
        if manifest is None:
            return None
        chosen = VolumeFiles(chosen_tensors(manifest, paths.visit)[self.name])
        if patient_ids is not None:
            chosen = chosen.only(patient_ids)
        require_written(manifest, chosen.items.values())
        return chosen

    def who_has(self, paths: InputPaths, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: who has a usable volume, by the manifest."""
        manifest = paths.files.get(self.source)
        chosen = chosen_tensors(manifest, paths.visit)[self.name] if manifest else {}
        return VolumeFiles(chosen).available(patient_ids)

    def digest(self, paths: InputPaths) -> Any:
        """The hashes of the tensors."""
        return self.hashes(paths, None)

    def hashes(self, paths: InputPaths, store: Store | None) -> list[tuple[str, ...]]:
        """Patient, visit, modality of the sheet and SHA-256 of every usable volume.

        Of MRI and PET alike, as a volume of either may have been made from the other.
        """
        manifest = paths.files.get(self.source)
        usable = [row for row in (read_manifest(manifest) if manifest else ()) if row.status == OK]
        return sorted((*row.key, row.tensor_sha256) for row in usable)

    def fit(self, store: Store, train_ids: Sequence[str], config: Config) -> Seen | None:
        """Whether a training patient has any."""
        return Seen() if store.available(train_ids).any() else None

    def restore(self, arrays: Mapping[str, np.ndarray], described: Any) -> Seen | None:
        """Whether a training patient had any."""
        return Seen() if arrays else None

    def reader(
        self,
        store: Store | None,
        scaling: Scaling | None,
        patient_ids: Sequence[str],
        shape: TokenShape | None,
    ) -> TokenReader:
        """All voxels, on the grid of the fitted network or of the volumes that are there."""
        paths = paths_of(store)
        grid = shape.grid if shape is not None else None
        if grid is None:
            grid = shape_of(paths) if paths else NOBODY
        return VoxelReader(tuple(patient_ids), paths, grid)

    def columns(
        self, store: Store | None, scaling: Scaling, patient_ids: Sequence[str]
    ) -> tuple[np.ndarray, list[str]]:
        """Regional measures."""
        paths, names = paths_of(store), measure_names(self.name)
        unknown = np.full(len(names), np.nan)
        rows = [measures(paths[who]) if who in paths else unknown for who in patient_ids]
        return np.stack(rows), names

    def unusable(self, paths: InputPaths) -> dict[str, str]:
        """The reasons of quarantined volumes."""
        rows = read_manifest(paths.files[self.source])
        own = (row for row in rows if row.modality in IMAGES[self.name])
        return {row.patient_id: row.reason for row in own if row.status != OK}

    def for_pages(self, path: Path) -> tuple[VolumeStatus, ...]:
        """The manifest."""
        return tuple(read_manifest(path))


def paths_of(store: Store | None) -> Mapping[str, Path]:
    """The tensors of a store; none without one."""
    assert store is None or isinstance(store, VolumeFiles)
    return {} if store is None else store.items


MODALITIES = {
    name: BrainVolume(name)
    for name, entry in REGISTRY.items()
    if entry.source == BrainVolume.source
}
