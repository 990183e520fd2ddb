"""Slides as a modality: a bag of tile embeddings for each patient, or their mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.manifest import OK
from survfuse.config.study import Config
from survfuse.modalities.by_patient import ByPatient
from survfuse.modalities.conformity import Conformed, Reference
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.protocol import (
    Attended,
    CheckedSheets,
    Modality,
    Scaling,
    Store,
    TokenReader,
    Tokens,
    TokenShape,
)
from survfuse.modalities.sheets import Brought, CheckedPatients, Preparation
from survfuse.modalities.slides.bags import Bag, load_bags
from survfuse.modalities.slides.encoders.recipe import difference_of_tiles, recipe_of
from survfuse.modalities.slides.faults import SlideFault
from survfuse.modalities.slides.merging import (
    check_one_encoder,
    how_embedded,
    merge_slides,
    require_same_embedding,
)
from survfuse.modalities.slides.scaling import TileScaler, fit_tiles
from survfuse.modalities.slides.sheet import COLUMNS, REQUIRED, check_slides
from survfuse.modalities.slides.store import SlideStatus, read_manifest
from survfuse.sheets.findings import Findings
from survfuse.sheets.problems import Note
from survfuse.sheets.text_table import Sheet, parse_sheet


class SlideBags(ByPatient[Bag]):
    """The tiles of every patient with at least one usable slide."""


@dataclass(frozen=True)
class TileReader:
    """Bags of standardised tiles, padded to the longest; see `protocol.TokenReader`."""

    patient_ids: tuple[str, ...]
    bags: Mapping[str, Bag]
    scaler: TileScaler | None  # None where no training patient has slides, and all are absent

    @property
    def shape(self) -> TokenShape:
        """The width of the embeddings; 1 where there are none."""
        return TokenShape(1 if self.scaler is None else self.scaler.width)

    def bag_size(self, row: int) -> int:
        """Number of tiles of a patient."""
        bag = self.bags.get(self.patient_ids[row])
        return 0 if bag is None else len(bag)

    def read(
        self, rows: Sequence[int], shown: np.ndarray, most: int | None, seed: Sequence[int]
    ) -> Tokens:
        """Tiles (B, N, D), their mask (B, N) and grid positions (B, N, 2)."""
        kept: list[np.ndarray] = []
        for row, visible in zip(rows, shown, strict=True):
            tiles = np.arange(self.bag_size(row) if visible else 0)
            if most is not None and len(tiles) > most:
                generator = np.random.default_rng([*seed, row])
                tiles = np.sort(generator.choice(tiles, most, replace=False))
            kept.append(tiles)
        longest = max(1, *(len(tiles) for tiles in kept))
        values = np.zeros((len(rows), longest, self.shape.width), dtype=np.float32)
        mask = np.zeros((len(rows), longest), dtype=bool)
        coords = np.zeros((len(rows), longest, 2), dtype=np.int64)
        for position, (row, tiles) in enumerate(zip(rows, kept, strict=True)):
            if not len(tiles):
                continue
            assert self.scaler is not None
            bag, size = self.bags[self.patient_ids[row]], len(tiles)
            values[position, :size] = self.scaler.transform(bag.rows(tiles))
            coords[position, :size] = bag.grid[tiles]
            mask[position, :size] = True
        return Tokens(values, mask, coords)


MEAN_TILE, SPREAD = "mean tile", "spread of tiles"  # the blocks of slides


class Slides(Modality):
    """Embeddings of all tiles of a patient's slides."""

    name = source = "slides"
    beside_attention = ("slide_id", "coords", "tile_px0")
    faults = SlideFault.known()

    without_sheet = Brought(pd.DataFrame(columns=list(COLUMNS), dtype=object))

    def read_sheet(
        self, config: Config, patient_ids: Collection[str] | None, found: Findings
    ) -> Sheet | None:
        """The slide sheet."""
        assert config.cohort.slides is not None
        return found.take(*parse_sheet(config.cohort.slides, REQUIRED))

    def check_sheet(
        self, sheet: Sheet, patients: CheckedPatients, config: Config, found: Findings
    ) -> Brought:
        """The slides with their files."""
        slides, problems = check_slides(sheet, patients.ids, config.cohort)
        found.problems += problems
        return Brought(slides)

    def check_preparation(self, sheet: Sheet, config: Config) -> list[Note]:
        """The encoder, which slides without embeddings need, and whether tiles are as it likes."""
        embedded = sheet.rows.reindex(columns=["features"], fill_value="")
        if embedded.all(axis=None):
            return []
        slides = config.slides
        recipe_of(slides.tile_encoder)
        difference = difference_of_tiles(slides.tile_encoder, slides.tile_px, slides.target_mpp)
        remedy = "change slides.tile_px or slides.target_mpp, unless you mean it"
        return [Note("configuration", f"slides: {difference}", None, remedy)] if difference else []

    def prepare(self, table: pd.DataFrame, path: Path, preparation: Preparation) -> None:
        """Tissue, tiles and embeddings of all slides, as one batch."""
        from survfuse.modalities.slides.batch import batch_rows, process_batch

        manifest = path.parent / "batches" / path.name
        config, threads, device = preparation.config, preparation.threads, preparation.device
        rows, roots = batch_rows(table, 0, 1), slide_roots(config)
        process_batch(rows, config.slides, path.parent, manifest, threads, device, roots)
        merge_slides([manifest], path)

    def in_sheets(self, sheets: CheckedSheets, config: Config) -> list[str]:
        """Who has a slide."""
        return sheets.tables[self.source]["patient_id"].tolist()

    def listed(
        self, patient_id: str, files: Sequence[Path], config: Config
    ) -> list[dict[str, str]]:
        """A slide for each file, numbered."""
        rows = super().listed(patient_id, files, config)
        return [{"slide_id": f"S{number}", **row} for number, row in enumerate(rows, start=1)]

    def open(self, paths: InputPaths, patient_ids: Collection[str] | None) -> SlideBags | None:
        """The bags, of which the embeddings stay on disk."""
        path = paths.files.get(self.source)
        return None if path is None else SlideBags(load_bags(path, patient_ids))

    def who_has(self, paths: InputPaths, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: who has a usable slide, by the manifest; all must be of one encoder."""
        if (path := paths.files.get(self.source)) is not None:
            check_one_encoder(path, read_manifest(path))
        having = {patient for patient, *_ in self.hashes(paths, None)}
        return np.isin(np.asarray(patient_ids, dtype=str), list(having))

    def digest(self, paths: InputPaths) -> Any:
        """The hashes of the embeddings; where they lie and how long they took does not count."""
        return self.hashes(paths, None)

    def hashes(self, paths: InputPaths, store: Store | None) -> list[tuple[str, ...]]:
        """Patient, slide and SHA-256 of the embeddings of every usable slide."""
        path = paths.files.get(self.source)
        usable = [row for row in (read_manifest(path) if path else ()) if row.status == OK]
        return sorted((row.patient_id, row.slide_id, row.features_sha256) for row in usable)

    def fit(self, store: Store, train_ids: Sequence[str], config: Config) -> TileScaler | None:
        """Mean and deviation of every dimension, each patient counting alike."""
        bags = bags_of(store)
        own = [bags[patient] for patient in train_ids if patient in bags]
        return fit_tiles(own) if own else None

    def restore(self, arrays: Mapping[str, np.ndarray], described: Any) -> TileScaler | None:
        """The scaler of `TileScaler.arrays`."""
        return TileScaler.from_arrays(arrays) if arrays else None

    def reader(
        self,
        store: Store | None,
        scaling: Scaling | None,
        patient_ids: Sequence[str],
        shape: TokenShape | None,
    ) -> TokenReader:
        """Bags of tiles."""
        assert scaling is None or isinstance(scaling, TileScaler)
        return TileReader(tuple(patient_ids), bags_of(store), scaling)

    def columns(
        self, store: Store | None, scaling: Scaling, patient_ids: Sequence[str]
    ) -> tuple[np.ndarray, list[str]]:
        """The mean tile."""
        assert isinstance(scaling, TileScaler)
        bags = bags_of(store)
        means = np.stack([scaling.mean_tile(bags.get(patient)) for patient in patient_ids])
        return means, [f"slides {dimension}" for dimension in range(scaling.width)]

    def blocks(
        self, store: Store | None, scaling: Scaling, patient_ids: Sequence[str], config: Config
    ) -> dict[str, tuple[np.ndarray, list[str]]]:
        """The mean tile, and how far a patient's tiles spread about it."""
        assert isinstance(scaling, TileScaler)
        bags = bags_of(store)
        moments = np.stack([scaling.moments(bags.get(patient)) for patient in patient_ids])
        return {
            MEAN_TILE: (moments[:, 0], [f"slides {place}" for place in range(scaling.width)]),
            SPREAD: (moments[:, 1], [f"spread {place}" for place in range(scaling.width)]),
        }

    def averaged(
        self, store: Store | None, scaling: Scaling, patient_id: str
    ) -> tuple[str, np.ndarray] | None:
        """The mean tile, and the tiles."""
        assert isinstance(scaling, TileScaler)
        bag = bags_of(store).get(patient_id)
        if bag is None:
            return None
        return MEAN_TILE, np.concatenate([scaling.transform(slide[:]) for slide in bag.slides])

    def reference(
        self, paths: InputPaths, store: Store, patient_ids: Sequence[str], config: Config
    ) -> Reference:
        """What made the embeddings, as far as it is known."""
        return Reference(how_embedded(paths.files[self.source]))

    def conform(
        self, paths: InputPaths, store: Store | None, reference: Reference
    ) -> Conformed[Store | None]:
        """The bags, if they are of the encoder of the study and of tiles of its size."""
        if store is not None:
            require_same_embedding(how_embedded(paths.files[self.source]), reference.described)
        return Conformed(store)

    def unusable(self, paths: InputPaths) -> dict[str, str]:
        """The reasons of quarantined slides."""
        rows = read_manifest(paths.files[self.source])
        return {row.patient_id: row.reason for row in rows if row.status != OK}

    def for_pages(self, path: Path) -> tuple[SlideStatus, ...]:
        """The manifest."""
        return tuple(read_manifest(path))

    def attended(self, store: Store | None, patient_id: str) -> Attended:
        """The tiles: their slides, places and sides in level-0 pixels."""
        places = bags_of(store)[patient_id].places()
        columns = (places.slide_id, places.coords, places.tile_px0)
        return Attended(dict(zip(self.beside_attention, columns, strict=True)))


def slide_roots(config: Config) -> list[Path] | None:
    """The directories that slides may lie in: those configured, or that of their sheet."""
    sheet = config.cohort.slides
    return config.cohort.roots or ([sheet.parent] if sheet else None)


def bags_of(store: Store | None) -> Mapping[str, Bag]:
    """The bags of a store; none without one."""
    assert store is None or isinstance(store, SlideBags)
    return {} if store is None else store.items


MODALITIES = {Slides.name: Slides()}
