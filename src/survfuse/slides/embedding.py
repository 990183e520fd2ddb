"""One slide from file to embeddings.

Faults of the slide end in its status. What is complete is not done again: the file of embeddings
is written last and names the slide and the settings it was made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from survfuse.config import SlideConfig
from survfuse.files import sha256_json
from survfuse.manifest import OK, QUARANTINED
from survfuse.slides.clam import clam_paths, export_clam
from survfuse.slides.faults import CorruptTile, NoTissue, SlideFault, TooSmall, UnreadableSlide
from survfuse.slides.overview import write_overview
from survfuse.slides.reader import FINE_ENOUGH, Image, LowResolution, Slide
from survfuse.slides.store import (
    SCHEMA,
    SlideFacts,
    SlideStatus,
    tree_name,
    write_coords,
    write_features,
)
from survfuse.slides.tiles import Tiles, cut_tiles, side_px0
from survfuse.slides.tissue import MASK_MPP, find_tissue, write_geojson

if TYPE_CHECKING:  # importing it takes seconds, which a batch without work need not spend
    from survfuse.slides.encoders import Encoder, EncoderIdentity

MAX_DAMAGED = 0.01  # of a slide's tissue tiles
EMBEDDED_AT_ONCE = 64  # tiles


@dataclass(frozen=True)
class SlideRow:
    """One row of the checked slide sheet."""

    slide_id: str
    patient_id: str
    path: Path | None  # None where embeddings are given
    mpp: float | None  # declared pixel size, which overrules the slide's own
    features: Path | None  # embeddings made elsewhere


@dataclass(frozen=True)
class Job:
    """What all slides of a batch share."""

    config: SlideConfig
    out: Path
    encoder: EncoderIdentity

    def paths(self, slide_id: str) -> dict[str, Path]:
        """Files of a slide, relative to `out`, by the manifest's column names."""
        tree = Path(tree_name(self.config.target_mpp, self.config.tile_px))
        return {
            "contours": Path("contours_geojson") / f"{slide_id}.geojson",
            "patches": tree / "patches" / f"{slide_id}_patches.h5",
            "features": tree / f"features_{self.encoder.name}" / f"{slide_id}.h5",
            "overview": tree / "visualization" / f"{slide_id}.jpg",
        }

    def files(self, slide_id: str) -> list[Path]:
        """Every file that a complete slide has."""
        files = [self.out / path for path in self.paths(slide_id).values()]
        if self.config.clam_export:
            files += clam_paths(self.out / "clam", slide_id)
        return files

    def fingerprint(self, row: SlideRow, slide_sha256: str) -> str:
        """Hash of everything the files of a slide depend on."""
        tiling = ("target_mpp", "tile_px", "min_tissue", "min_tissue_mm2")
        return sha256_json(
            {
                "schema": SCHEMA,
                "slide": [row.slide_id, slide_sha256, row.mpp],
                "encoder": [self.encoder.name, self.encoder.weights_sha256],
                "tiling": [getattr(self.config, name) for name in tiling],
            }
        )


def finished(row: SlideRow, slide_sha256: str, job: Job) -> SlideStatus | None:
    """The status of a slide that was completed earlier with the same content and settings."""
    paths = job.paths(row.slide_id)
    if not all(path.is_file() for path in job.files(row.slide_id)):
        return None
    try:
        with h5py.File(job.out / paths["features"], "r") as file:
            attributes = dict(file["features"].attrs)
            n_tiles = len(file["features"])
            facts = file["coords"].attrs
            mpp, mpp_source = float(facts["survfuse_mpp"]), str(facts["survfuse_mpp_source"])
    except (OSError, KeyError):  # damaged, or written by another program
        return None
    if attributes.get("survfuse_fingerprint") != job.fingerprint(row, slide_sha256):
        return None
    return SlideStatus(
        row.slide_id,
        row.patient_id,
        OK,
        reason=str(attributes["survfuse_note"]),
        n_tiles=n_tiles,
        mpp=mpp,
        mpp_source=mpp_source,
        tissue_mm2=float(attributes["survfuse_tissue_mm2"]),
        ink_share=float(attributes["survfuse_ink_share"]),
        **{name: str(paths[name]) for name in ("patches", "features", "overview")},
    )


def process_slide(row: SlideRow, slide_sha256: str, job: Job, encoder: Encoder) -> SlideStatus:
    """Everything for one slide; its own faults end in the status, not in an exception."""
    known: dict[str, Any] = {}
    for stale in job.files(row.slide_id):  # of an earlier run, from another slide or settings
        stale.unlink(missing_ok=True)
    try:
        embed_slide(row, slide_sha256, job, encoder, known)
        return SlideStatus(row.slide_id, row.patient_id, OK, **known)
    except SlideFault as fault:
        known.update(n_tiles=0, reason=fault.reason)
        return SlideStatus(row.slide_id, row.patient_id, QUARANTINED, **known)


def embed_slide(
    row: SlideRow, slide_sha256: str, job: Job, encoder: Encoder, known: dict[str, Any]
) -> None:
    """Write all files of a slide, embeddings last; `known` collects its manifest row."""
    config, paths = job.config, job.paths(row.slide_id)
    if row.path is None or not slide_sha256:
        raise UnreadableSlide("the file is not there or may not be read; check path and rights")
    with Slide(row.path, row.mpp) as slide:
        known.update(mpp=slide.mpp, mpp_source=slide.mpp_source)
        level = slide.level_for(config.target_mpp)
        side = side_px0(config.tile_px, config.target_mpp, slide.mpp)
        if round(side) > min(slide.size_px0):
            raise TooSmall("not one tile fits on the slide; leave it out, or use smaller tiles")
        low = slide.read_whole(MASK_MPP)
        tissue = find_tissue(repaired(low), low.mpp, config.min_tissue_mm2)
        known.update(tissue_mm2=tissue.mm2, ink_share=tissue.ink_share)
        found = cut_tiles(tissue.mask, low.px0, slide.size_px0, side, config.min_tissue)

        features, readable = embed_tiles(slide, found, config.tile_px, encoder)
        tiles = Tiles(found.coords[readable], found.tissue[readable], side)
        write_geojson(job.out / paths["contours"], tissue.mask, low.px0)
        write_overview(job.out / paths["overview"], slide, tissue.mask, low.px0, tiles)
        known.update(overview=str(paths["overview"]))
        check_tiles(found, readable, low)
        said = notes(found, readable, tissue.found_by, slide.mpp / config.target_mpp)
        known.update(reason=said, n_tiles=len(tiles.coords))

        facts = SlideFacts(
            slide_id=row.slide_id,
            sha256=slide_sha256,
            size_px0=slide.size_px0,
            mpp=slide.mpp,
            mpp_source=slide.mpp_source,
            target_mpp=config.target_mpp,
            tile_px=config.tile_px,
        )
        if config.clam_export:
            scale, size = slide.downsamples[level], slide.level_sizes[level]
            export_clam(job.out / "clam", features, tiles, facts, level, scale, size)
    write_coords(job.out / paths["patches"], tiles, facts)
    attributes = {
        "encoder": encoder.identity.name,
        "survfuse_encoder": encoder.identity.label,
        "survfuse_weights_sha256": encoder.identity.weights_sha256,
        "survfuse_precision": "float32",
        "survfuse_tissue_mm2": tissue.mm2,
        "survfuse_ink_share": tissue.ink_share,
        "survfuse_damaged_tiles": int((~readable).sum()),
        "survfuse_note": said,
        "survfuse_fingerprint": job.fingerprint(row, slide_sha256),
    }
    write_features(job.out / paths["features"], features, tiles, facts, attributes)
    known.update(patches=str(paths["patches"]), features=str(paths["features"]))


def repaired(low: LowResolution) -> Image:
    """The small image with undecodable areas filled in from around them.

    Only to find tissue: tiles there then count as tissue tiles, fail to be read, and are counted.
    """
    if not low.damaged.any():
        return low.rgb
    return cv2.inpaint(low.rgb, low.damaged.astype(np.uint8), 3, cv2.INPAINT_TELEA)


def embed_tiles(
    slide: Slide, tiles: Tiles, tile_px: int, encoder: Encoder
) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Embeddings (n, D) of the readable tiles, and which of all tiles those are (N,)."""
    readable = np.ones(len(tiles.coords), np.bool_)
    embedded = []
    for start in range(0, len(tiles.coords), EMBEDDED_AT_ONCE):
        images = []
        for index in range(start, min(start + EMBEDDED_AT_ONCE, len(tiles.coords))):
            x, y = tiles.coords[index].tolist()
            try:
                images.append(slide.read_tile((x, y), tiles.side_px0, tile_px))
            except CorruptTile:
                readable[index] = False
        if images:
            # Numbers beyond the range become infinite here, which writing them refuses.
            with np.errstate(over="ignore"):
                embedded.append(encoder.embed(np.stack(images)).astype(np.float16))
    features = np.concatenate(embedded) if embedded else np.empty((0, encoder.dim), np.float16)
    return features, readable


def check_tiles(found: Tiles, readable: NDArray[np.bool_], low: LowResolution) -> None:
    """Raise CorruptTile if too many tiles are damaged, NoTissue if there are none."""
    n, damaged = len(found.coords), int((~readable).sum())
    if damaged > MAX_DAMAGED * n or (not n and low.damaged.any()):
        raise CorruptTile(
            f"{damaged} of {n} tissue tiles cannot be decoded, more than {MAX_DAMAGED:.0%}; copy "
            "the file again from the scanner"
        )
    if not n:
        raise NoTissue(
            "no tile holds enough tissue; look at the overview, then lower slides.min_tissue or "
            "slides.min_tissue_mm2, or leave the slide out"
        )


def notes(found: Tiles, readable: NDArray[np.bool_], found_by: str, enlargement: float) -> str:
    """What the reader should know of a usable slide."""
    said = []
    if not readable.all():
        damaged = int((~readable).sum())
        said.append(f"{damaged} of {len(found.coords)} tissue tiles are damaged and left out")
    if found_by == "brightness":
        said.append("the slide has no colour; tissue was found by brightness")
    if enlargement > FINE_ENOUGH:
        said.append(f"tiles are enlarged by {enlargement - 1:.0%}; the scan is that coarse")
    return "; ".join(said)
