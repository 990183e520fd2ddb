"""One slide from file to embeddings.

Faults of the slide end in its status. What is complete is not done again: the file of embeddings
is written last and names the slide and the settings it was made from.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.config.slides import SlideConfig
from survfuse.core.files import sha256_json, write_bytes, write_text
from survfuse.core.hdf5_files import open_hdf5
from survfuse.core.isolation import IsolatedProcess, IsolationError
from survfuse.modalities.slides.faults import CorruptTile, NoTissue, SlideFault, UnreadableSlide
from survfuse.modalities.slides.formats.clam import clam_paths, export_clam
from survfuse.modalities.slides.reading.decoding import (
    Found,
    Opened,
    Overview,
    Tiling,
    decode_slide,
)
from survfuse.modalities.slides.reading.reader import FINE_ENOUGH
from survfuse.modalities.slides.reading.tiles import Tiles
from survfuse.modalities.slides.store import (
    SCHEMA,
    SlideFacts,
    SlideStatus,
    content_sha256,
    tree_name,
    write_coords,
    write_features,
)

if TYPE_CHECKING:  # importing it takes seconds, which a batch without work need not spend
    from survfuse.modalities.slides.encoders.encoder import Encoder, EncoderIdentity

log = logging.getLogger(__name__)

MAX_DAMAGED = 0.01  # of a slide's tissue tiles


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
                "encoder": self.encoder.name,
                "tiling": [getattr(self.config, name) for name in tiling],
            }
        )


def finished(row: SlideRow, slide_sha256: str | SlideFault, job: Job) -> SlideStatus | None:
    """The status of a slide that was completed earlier with the same content and settings.

    None also where its embeddings are no longer those that were written: they are made again.
    """
    paths = job.paths(row.slide_id)
    if isinstance(slide_sha256, SlideFault):
        return None
    if not all(path.is_file() for path in job.files(row.slide_id)):
        return None
    try:
        with open_hdf5(job.out / paths["features"]) as file:
            attributes = dict(file["features"].attrs)
            content = content_sha256(file["features"][:], file["coords"][:])
            n_tiles = len(file["features"])
            facts = file["coords"].attrs
            mpp, mpp_source = float(facts["survfuse_mpp"]), str(facts["survfuse_mpp_source"])
    except (OSError, KeyError, ValueError):  # damaged, or written by another program
        return None
    if attributes.get("survfuse_fingerprint") != job.fingerprint(row, slide_sha256):
        return None
    if attributes.get("survfuse_content_sha256") != content:
        log.warning("slide %s: its embeddings changed after they were made; again", row.slide_id)
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
        source_sha256=slide_sha256,
        encoder=str(attributes["survfuse_encoder"]),
        pixels=job.encoder.pixels,
        tile_um=job.config.tile_px * job.config.target_mpp,
        **{name: str(paths[name]) for name in ("patches", "features", "overview")},
    )


def process_slide(
    row: SlideRow, slide_sha256: str | SlideFault, own: IsolatedProcess, job: Job, encoder: Encoder
) -> SlideStatus:
    """Everything for one slide; its own faults end in the status, not in an exception.

    `slide_sha256` is the hash of its file, or why there is none. The file is decoded in the
    process `own`: whatever that file does to it, only this slide is set aside.
    """
    known: dict[str, Any] = {}
    for stale in job.files(row.slide_id):  # of an earlier run, from another slide or settings
        stale.unlink(missing_ok=True)
    try:
        if isinstance(slide_sha256, SlideFault):
            raise slide_sha256
        embed_slide(row, slide_sha256, job, encoder, own, known)
        return SlideStatus(row.slide_id, row.patient_id, OK, **known)
    except SlideFault as error:
        fault = error
    except IsolationError as error:
        fault = undecodable(error)
    known.update(n_tiles=0, reason=fault.reason)
    return SlideStatus(row.slide_id, row.patient_id, QUARANTINED, **known)


def undecodable(error: IsolationError) -> UnreadableSlide:
    """The fault of a file that ended the process which decoded it."""
    return UnreadableSlide(
        f"decoding the file {error}; it is damaged or asks for absurd sizes: copy it again, or "
        "convert it to a tiled pyramidal TIFF (limits: slides.decode_memory_gb, decode_timeout_s)"
    )


def embed_slide(
    row: SlideRow,
    slide_sha256: str,
    job: Job,
    encoder: Encoder,
    own: IsolatedProcess,
    known: dict[str, Any],
) -> None:
    """Write all files of a slide, embeddings last; `known` collects its manifest row."""
    config, paths = job.config, job.paths(row.slide_id)
    known.update(source_sha256=slide_sha256)
    tiling = Tiling(config.target_mpp, config.tile_px, config.min_tissue, config.min_tissue_mm2)
    parts = own.stream(decode_slide, row.path, row.mpp, tiling, expected=SlideFault)
    opened: Opened = next(parts)
    known.update(mpp=opened.mpp, mpp_source=opened.mpp_source)
    found: Found = next(parts)
    known.update(tissue_mm2=found.tissue_mm2, ink_share=found.ink_share)
    write_text(job.out / paths["contours"], found.contours)
    readable, embedded = [np.empty(0, np.bool_)], [np.empty((0, encoder.dim), np.float16)]
    for part in parts:
        if isinstance(part, Overview):
            write_bytes(job.out / paths["overview"], part.jpeg)
            continue
        readable.append(part.readable)
        if len(part.images):
            # Numbers beyond the range become infinite here, which writing them refuses.
            with np.errstate(over="ignore"):
                embedded.append(encoder.embed(part.images).astype(np.float16))
    known.update(overview=str(paths["overview"]))
    features, kept = np.concatenate(embedded), np.concatenate(readable)
    check_tiles(kept, found.damaged)
    said = notes(opened, found, kept, opened.mpp / config.target_mpp)
    tiles = Tiles(found.tiles.coords[kept], found.tiles.tissue[kept], found.tiles.side_px0)
    known.update(
        reason=said,
        n_tiles=len(tiles.coords),
        encoder=encoder.identity.label,
        pixels=encoder.identity.pixels,
        tile_um=config.tile_px * config.target_mpp,
    )
    facts = SlideFacts(
        slide_id=row.slide_id,
        sha256=slide_sha256,
        size_px0=opened.size_px0,
        mpp=opened.mpp,
        mpp_source=opened.mpp_source,
        target_mpp=config.target_mpp,
        tile_px=config.tile_px,
    )
    if config.clam_export:
        at = opened.level, opened.downsample, opened.level_size
        export_clam(job.out / "clam", features, tiles, facts, *at)
    write_coords(job.out / paths["patches"], tiles, facts)
    attributes = {
        **encoder.identity.attributes(),
        "survfuse_tissue_mm2": found.tissue_mm2,
        "survfuse_ink_share": found.ink_share,
        "survfuse_damaged_tiles": int((~kept).sum()),
        "survfuse_note": said,
        "survfuse_fingerprint": job.fingerprint(row, slide_sha256),
    }
    write_features(job.out / paths["features"], features, tiles, facts, attributes)
    known.update(patches=str(paths["patches"]), features=str(paths["features"]))


def check_tiles(readable: NDArray[np.bool_], damaged_overview: bool) -> None:
    """Raise CorruptTile if too many tiles are damaged, NoTissue if there are none."""
    n, damaged = len(readable), int((~readable).sum())
    if damaged > MAX_DAMAGED * n or (not n and damaged_overview):
        raise CorruptTile(
            f"{damaged} of {n} tissue tiles cannot be decoded or are not in the file, more than "
            f"{MAX_DAMAGED:.0%}; copy the file again from the scanner"
        )
    if not n:
        raise NoTissue(
            "no tile holds enough tissue; look at the overview, then lower slides.min_tissue or "
            "slides.min_tissue_mm2, or leave the slide out"
        )


def notes(opened: Opened, found: Found, readable: NDArray[np.bool_], enlargement: float) -> str:
    """What the reader should know of a usable slide."""
    said = list(opened.notes)
    if not readable.all():
        damaged = int((~readable).sum())
        said.append(f"{damaged} of {len(readable)} tissue tiles are damaged and left out")
    if found.found_by == "brightness":
        said.append("the slide has no colour; tissue was found by brightness")
    if enlargement > FINE_ENOUGH:
        said.append(f"tiles are enlarged by {enlargement - 1:.0%}; the scan is that coarse")
    return "; ".join(said)
