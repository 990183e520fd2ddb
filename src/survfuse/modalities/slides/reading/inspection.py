"""A look at embeddings that were made elsewhere, in a process that they may crash."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from survfuse.modalities.slides.faults import SlideFault
from survfuse.modalities.slides.reading import (
    decoding as decoding,  # so that one process serves both kinds of work
)
from survfuse.modalities.slides.reading.reader import Slide
from survfuse.modalities.slides.store import check_finite, read_features, write_converted


@dataclass(frozen=True)
class Inspected:
    """What a file of embeddings holds and says of itself."""

    n_tiles: int
    encoder: str
    tile_um: float | None
    note: str
    mpp: float | None = None  # only where positions in micrometres needed it
    mpp_source: str = ""
    converted: bool = False  # whether a copy with positions in pixels was written


def inspect_features(
    path: Path, slide: Path | None, declared_mpp: float | None, most_bytes: int, converted: Path
) -> Generator[Inspected]:
    """Check all embeddings of a file. Raises BadFeatures with what is wrong.

    `slide` is the slide they were made from, where the sheet names one; `declared_mpp` the size
    of its pixels, where the sheet tells it. A file whose positions are micrometres is copied to
    `converted` with level-0 pixels, where that size is known: later stages know no slides.
    """
    stored = read_features(path, None, most_bytes)
    check_finite(stored.features)
    if stored.needs_mpp:
        mpp, source = declared_mpp, "sheet"
        if mpp is None and slide is not None:
            mpp, source = mpp_of(slide)
        if mpp is not None:
            stored = read_features(path, mpp, most_bytes)
            write_converted(converted, stored)
            n = len(stored.features)
            yield Inspected(n, stored.encoder, stored.tile_um, stored.note, mpp, source, True)
            return
    yield Inspected(len(stored.features), stored.encoder, stored.tile_um, stored.note)


def mpp_of(slide: Path) -> tuple[float | None, str]:
    """The size of a slide's pixels and where it is from; None if the slide does not tell."""
    try:
        with Slide(slide) as opened:
            return opened.mpp, opened.mpp_source
    except SlideFault:
        return None, ""
