"""Reading pixels of a slide at an exact resolution.

Positions are level-0 pixels (`_px0`), x before y; resolutions are micrometres per pixel (`_mpp`).
Only the pyramid is ever read: label and macro images show names, so they are never opened.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import openslide
from cv2.typing import MatLike
from numpy.typing import NDArray

from survfuse.modalities.slides.faults import CorruptTile, TooCoarse, UnreadableSlide
from survfuse.modalities.slides.reading.resolution import disagreement, resolve_mpp
from survfuse.modalities.slides.reading.tiff import (
    fault_of_pixels,
    focal_planes,
    incomplete_levels,
    is_cut_short,
)

Image = MatLike  # uint8 (height, width, 3), red green blue

MIRAX = ".mrxs"
PLAIN_TIFF = ("generic-tiff", "aperio")  # OpenSlide checks the pixels of other formats itself
FINE_ENOUGH = 1.01  # a level this much coarser than asked for is read as it is
MAX_ENLARGEMENT = 1.25  # of the finest level, for a scanner a little coarser than asked for
BLOCK_PX = 16_000_000  # pixels decoded at once when a whole level is read: 64 MB
SMALLEST_PIECE_PX = 256  # around damage, an area is given up in pieces of about this side
MISSING_TOLERANCE = 0.25  # of a tile; tissue is found to a sixteenth of one along each side


@dataclass(frozen=True)
class LowResolution:
    """A whole slide in one small image."""

    rgb: Image
    damaged: NDArray[np.bool_]  # (height, width) pixels that could not be decoded
    px0: float  # side of a pixel in level-0 pixels
    mpp: float  # and in micrometres


class Slide:
    """An open slide; use it in a `with` statement, from one thread.

    Raises UnreadableSlide if OpenSlide cannot open the file, its end is missing, or its pixels are
    no colours of 8 bits, and MissingMpp or ImplausibleMpp if its resolution is not known (see
    `resolve_mpp`). `notes` are sentences on
    what is unusual about it.
    """

    def __init__(self, path: Path, declared_mpp: float | None = None) -> None:
        self.path = path
        self._handle = self._open()
        try:
            self.size_px0: tuple[int, int] = self._handle.dimensions
            self.level_sizes: tuple[tuple[int, int], ...] = self._handle.level_dimensions
            self.downsamples: tuple[float, ...] = self._handle.level_downsamples
            self.notes: list[str] = []
            self._check_pixels()
            self._check_ends_of_levels()  # after which the handle may be another
            properties = self._handle.properties
            self.mpp, self.mpp_source = resolve_mpp(properties, declared_mpp)
            self.notes += disagreement(properties, declared_mpp)
            self.origin_px0 = scanned_corner(properties)
        except BaseException:
            self._handle.close()
            raise

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handle.close()

    def _open(self) -> openslide.OpenSlide:
        try:
            return openslide.OpenSlide(self.path)
        except openslide.OpenSlideError:
            if self.path.suffix.lower() == MIRAX and not self.path.with_suffix("").is_dir():
                raise UnreadableSlide(
                    "the pixels of a MIRAX slide lie in a folder of the same name beside the .mrxs "
                    "file, and it is not there; copy both, and rename neither"
                ) from None
            raise UnreadableSlide(
                "OpenSlide cannot open the file: it is cut short, damaged, or of an unsupported "
                "format; copy it again, or convert it to a tiled pyramidal TIFF"
            ) from None

    def _check_pixels(self) -> None:
        """Refuse a TIFF that is no colour picture, and note one that holds several."""
        if self._handle.properties.get("openslide.vendor") not in PLAIN_TIFF:
            return
        if fault := fault_of_pixels(self.path):
            raise UnreadableSlide(fault)
        if (planes := focal_planes(self.path)) > 1:
            self.notes.append(f"the file holds {planes} planes of focus; the first is read")

    def _check_ends_of_levels(self) -> None:
        """Decode the last tile of every level, which a file that was cut short lacks.

        In a coarser level of a file that is all there it is one damaged tile like any other.
        """
        for level, (width, height) in enumerate(self.level_sizes):
            try:
                self._read(level, width - 1, height - 1, 1, 1)
            except CorruptTile:
                if level == 0 or is_cut_short(self.path):
                    raise UnreadableSlide(
                        f"the last tile of level {level} cannot be decoded: the file is cut short "
                        "or damaged; copy it again from the scanner"
                    ) from None
                self.notes.append(f"the end of level {level} is damaged")

    def _read(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Pixels (height, width, 4) of a level, from (x, y) in that level's pixels.

        They are transparent where the file has none. These are whole pixels: between two,
        OpenSlide repeats or skips a row at its tiles' seams.
        """
        down = self.downsamples[level]
        corner = (round(x * down), round(y * down))
        try:
            return np.asarray(self._handle.read_region(corner, level, (width, height)))
        except openslide.OpenSlideError:
            # After one error OpenSlide refuses every further read from the same handle.
            self._handle.close()
            self._handle = self._open()
            raise CorruptTile("some pixels cannot be decoded; copy the file again") from None

    def level_for(self, mpp: float, avoided: Collection[int] = ()) -> int:
        """The coarsest level that is at least as fine as `mpp` and not among those `avoided`.

        It is level 0 if none is and the slide is at most 25 % too coarse; else TooCoarse.
        """
        if self.mpp > mpp * MAX_ENLARGEMENT:
            raise TooCoarse(
                f"the slide has {self.mpp:.3g} micrometres per pixel, possible but too coarse for "
                f"the {mpp:.3g} asked for; raise slides.target_mpp or leave the slide out"
            )
        levels = range(len(self.downsamples))
        fine = [
            level
            for level in levels
            if self.downsamples[level] * self.mpp <= mpp * FINE_ENOUGH and level not in avoided
        ]
        return max(fine, key=self.downsamples.__getitem__, default=0)

    def read_tile(
        self, corner_px0: tuple[int, int], side_px0: float, tile_px: int, tissue: float = 0.0
    ) -> Image:
        """The square of `side_px0` at `corner_px0`, as (tile_px, tile_px, 3).

        It is read from the coarsest level that is fine enough and averaged down by area; the
        field of view is then exact to half a pixel of that level. Where it has to be enlarged,
        the field of view is exact. Raises TooCoarse, and CorruptTile where pixels cannot be
        decoded or are not in the file although `tissue`, the share of the tile that is known to
        be tissue from a coarser level, says that they were scanned.
        """
        level = self.level_for(side_px0 * self.mpp / tile_px)
        down = self.downsamples[level]
        exact = side_px0 / down
        fine = round(exact) >= tile_px
        side = round(exact) if fine else math.ceil(exact)
        x, y = (round(position / down) for position in corner_px0)
        pixels = self._read(level, x, y, side, side)
        missing = float((pixels[..., 3] == 0).mean())
        if missing > 1 - tissue + MISSING_TOLERANCE:
            raise CorruptTile("pixels of scanned tissue are not in the file; copy it again")
        tile = on_white(pixels)
        return resized(tile, tile_px) if fine else enlarged(tile, exact, tile_px)

    def read_whole(self, mpp: float) -> LowResolution:
        """The whole slide at about `mpp` (its own resolution, if that is coarser).

        Pixels are averaged over whole squares of the coarsest level that is fine enough, hence
        "about": the exact scale comes with the image. Levels that lack parts which the slide has
        are passed over. What cannot be decoded comes from a finer level; where that fails too it
        is marked, not filled.
        """
        level = self.level_for(max(mpp, self.mpp), incomplete_levels(self.path, self.level_sizes))
        down = self.downsamples[level]
        shrink = max(1, round(mpp / (self.mpp * down)))
        px0 = down * shrink
        width, height = (max(1, side // shrink) for side in self.level_sizes[level])
        low = LowResolution(
            np.full((height, width, 3), 255, np.uint8),
            np.zeros((height, width), np.bool_),
            px0,
            self.mpp * px0,
        )
        finer = [other for other, scale in enumerate(self.downsamples) if scale < down]
        levels = [level, *sorted(finer, key=self.downsamples.__getitem__, reverse=True)]
        rows = max(1, BLOCK_PX // (width * shrink**2))
        for top in range(0, height, rows):
            self._fill(low, levels, (0, top, width, min(rows, height - top)))
        return low

    def _fill(
        self, low: LowResolution, levels: Sequence[int], window: tuple[int, int, int, int]
    ) -> None:
        """Fill the window (left, top, width, height) of an image from the first of `levels`.

        It is halved where reading fails; what is left then comes from the next finer level.
        """
        left, top, width, height = window
        scale = low.px0 / self.downsamples[levels[0]]
        single = max(width, height) == 1
        at = np.s_[top : top + height, left : left + width]
        if single or width * height * scale**2 <= 2 * BLOCK_PX:
            x, y, wide, high = (round(length * scale) for length in window)
            try:
                block = on_white(self._read(levels[0], x, y, max(1, wide), max(1, high)))
            except CorruptTile:
                if single or max(width, height) * scale <= SMALLEST_PIECE_PX:
                    if len(levels) > 1:
                        self._fill(low, levels[1:], window)
                    else:
                        low.damaged[at] = True
                    return
            else:
                low.rgb[at] = cv2.resize(block, (width, height), interpolation=cv2.INTER_AREA)
                return
        if width >= height:
            half = width // 2
            parts = [(left, top, half, height), (left + half, top, width - half, height)]
        else:
            half = height // 2
            parts = [(left, top, width, half), (left, top + half, width, height - half)]
        for part in parts:
            self._fill(low, levels, part)


def on_white(rgba: NDArray[np.uint8]) -> Image:
    """Pixels as they look on a white ground."""
    alpha = rgba[..., 3:]
    if alpha.min() == 255:
        return cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)
    return (255 - (255 - rgba[..., :3].astype(np.uint16)) * alpha // 255).astype(np.uint8)


def scanned_corner(properties: Mapping[str, str]) -> tuple[int, int]:
    """Top-left corner (x, y) of the scanned part in level-0 pixels, where the format tells one."""
    x, y = (properties.get(f"openslide.bounds-{axis}", "") for axis in "xy")
    return (int(x), int(y)) if x.isdigit() and y.isdigit() else (0, 0)


def resized(square: Image, side_px: int) -> Image:
    """A square image at another size: averaged by area if smaller, interpolated if larger."""
    if square.shape[0] == side_px:
        return square
    smaller = side_px < square.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(square, (side_px, side_px), interpolation=method)


def enlarged(square: Image, used_px: float, side_px: int) -> Image:
    """The first `used_px` pixels of a square image along each axis, enlarged to `side_px`."""
    step = used_px / side_px
    pixel_centres = np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2]])
    return cv2.warpAffine(
        square,
        pixel_centres,
        (side_px, side_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
