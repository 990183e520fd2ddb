"""What the directory of a TIFF tells: where its data end, and what its pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray


def is_cut_short(path: Path) -> bool:
    """Whether data that the directory promises lie behind the end of the file.

    True also for what is no TIFF or has no readable directory: then nothing tells that it is
    whole.
    """
    try:
        size = path.stat().st_size
        with tifffile.TiffFile(path) as tiff:
            return any(
                offset + length > size
                for page in tiff.pages
                for offset, length in zip(page.dataoffsets, page.databytecounts, strict=False)
            )
    except Exception:  # whatever a damaged directory makes of the parser
        return True


def fault_of_pixels(path: Path) -> str | None:
    """Why the pixels of a TIFF cannot be read as the colours of a slide, with the remedy, or None.

    OpenSlide keeps the upper 8 bits of 16, and shows the first of several channels as grey. None
    also for what is no TIFF that can be parsed.
    """
    first = described(path)
    if first is None:
        return None
    page, alike = first
    if page.bitspersample != 8:
        return (
            f"the pixels have {page.bitspersample} bits per channel, and those of 10 or 12 bits "
            "would come out black; convert the slide to 8 bits per channel"
        )
    channels = page.samplesperpixel if page.samplesperpixel > 1 else alike
    if channels == 1 or channels == 3 or (channels == 4 and has_opacity(page)):
        return None
    return (
        f"the file holds {channels} channels (fluorescence or multiplex), needed is a bright-field "
        "slide in red, green and blue; leave it out, or export it as RGB"
    )


def focal_planes(path: Path) -> int:
    """How many pictures of full size a colour TIFF holds: planes of focus, or points in time."""
    first = described(path)
    return first[1] if first is not None and first[0].samplesperpixel > 1 else 1


def described(path: Path) -> tuple[tifffile.TiffPage, int] | None:
    """The first directory of a TIFF, and how many directories have its size and kind."""
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page.aspage() for page in tiff.pages]
            return pages[0], sum(page.shape == pages[0].shape for page in pages)
    except Exception:  # whatever the parser makes of a damaged directory, or of another format
        return None


def has_opacity(page: tifffile.TiffPage) -> bool:
    """Whether the last of four channels tells how opaque a pixel is; three others are colours."""
    return any(int(kind) in (1, 2) for kind in page.extrasamples)


def incomplete_levels(path: Path, level_sizes: Sequence[tuple[int, int]]) -> set[int]:
    """Numbers of levels that have no data somewhere where level 0 has some.

    `level_sizes`: width and height of every level. Empty for what is no tiled TIFF.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page.aspage() for page in tiff.pages]
            stored = {
                (page.imagewidth, page.imagelength): tiles_with_data(page)
                for page in reversed(pages)
                if page.is_tiled and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
            }
            sides = {(page.imagewidth, page.imagelength): page.tilewidth for page in pages}
    except Exception:  # whatever the parser makes of a damaged directory, or of another format
        return set()
    if level_sizes[0] not in stored:
        return set()
    return {
        level
        for level, size in enumerate(level_sizes)
        if level > 0
        and size in stored
        and lacks(
            stored[size],
            stored[level_sizes[0]],
            sides[size] * level_sizes[0][0] / size[0] / sides[level_sizes[0]],
        )
    }


def tiles_with_data(page: tifffile.TiffPage) -> NDArray[np.bool_]:
    """Which tiles (rows, columns) of a page have any bytes in the file."""
    across = -(-page.imagewidth // page.tilewidth)
    return np.asarray(page.databytecounts).reshape(-1, across) > 0


def lacks(coarse: NDArray[np.bool_], fine: NDArray[np.bool_], scale: float) -> bool:
    """Whether a tile of `coarse` has no data although tiles of `fine` below it have.

    `scale`: side of a coarse tile in fine ones.
    """
    for row, column in np.argwhere(~coarse):
        top, left = (int(np.ceil(place * scale)) for place in (row, column))
        bottom, right = (int((place + 1) * scale) for place in (row, column))
        if fine[top:bottom, left:right].any():
            return True
    return False
