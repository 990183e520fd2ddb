"""Small whole-slide files with known geometry, for tests to read and to spoil."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import tifffile
from numpy.typing import NDArray

Image = NDArray[np.uint8]

GLASS = (243, 242, 244)


def glass(width: int, height: int, seed: int = 0) -> Image:
    """Empty glass with a little sensor noise."""
    noise = np.random.default_rng(seed).normal(0, 1.5, (height, width, 3))
    return np.clip(GLASS + noise, 0, 255).astype(np.uint8)


def stained(
    width: int, height: int, box: tuple[int, int, int, int], seed: int = 0, strength: float = 1.0
) -> Image:
    """Glass with pink tissue in the box (left, top, right, bottom); `strength` of its stain."""
    image = glass(width, height, seed)
    left, top, right, bottom = box
    speckle = np.random.default_rng(seed + 1).normal(0, 12, (bottom - top, right - left, 1))
    tissue = np.array((195, 120, 175)) + speckle
    mixed = strength * tissue + (1 - strength) * np.array(GLASS)
    image[top:bottom, left:right] = np.clip(mixed, 0, 255).astype(np.uint8)
    return image


def tile_corners(path: Path) -> NDArray[np.int64]:
    """The corners (N, 2) in a file of tile coordinates, in level-0 pixels."""
    with h5py.File(path) as file:
        return file["coords"][:]


def write_slide(
    path: Path,
    image: Image,
    mpp: float | tuple[float, float] | None = 0.5,
    levels: int = 1,
    tile_px: int = 64,
    compression: str = "jpeg",
) -> Path:
    """Write a tiled TIFF that OpenSlide reads; every level halves the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x_mpp, y_mpp = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    with tifffile.TiffWriter(path) as tiff:
        for level in range(levels):
            if level:
                size = (image.shape[1] // 2, image.shape[0] // 2)
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            resolution = {}
            if x_mpp and y_mpp:
                scale = 1e4 / 2**level
                resolution = {
                    "resolution": (scale / x_mpp, scale / y_mpp),
                    "resolutionunit": "CENTIMETER",
                }
            tiff.write(
                image,
                photometric="rgb",
                compression=compression,
                tile=(tile_px, tile_px),
                subfiletype=1 if level else 0,
                metadata=None,
                **resolution,
            )
    return path


def write_aperio(path: Path, image: Image, name: str, mpp: str = "0.5") -> Path:
    """Write an Aperio SVS with a patient's name in its label, macro and file header."""
    header = "Aperio Image Library v11.2.1 \r\n"
    size = f"{image.shape[1]}x{image.shape[0]}"
    label = np.full((120, 200, 3), (255, 0, 255), np.uint8)
    cv2.putText(label, name, (5, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 2)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            image,
            photometric="rgb",
            compression="jpeg",
            tile=(64, 64),
            description=f"{header}{size} (64x64) JPEG/RGB Q=90|AppMag = 20|MPP = {mpp}|"
            f"Filename = {name}|User = {name}",
            metadata=None,
        )
        thumbnail = np.ascontiguousarray(image[::8, ::8])
        strips = {"photometric": "rgb", "compression": "jpeg", "metadata": None}
        tiff.write(thumbnail, description=f"{header}{size} -> thumbnail - |", **strips)
        tiff.write(label, description=f"{header}label 200x120", subfiletype=1, **strips)
        tiff.write(label, description=f"{header}macro 200x120", subfiletype=9, **strips)
    return path


def damage_tile(path: Path, index: int, level: int = 0) -> None:
    """Overwrite one compressed tile with zeros, as bad sectors and sparse copies do."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        start, length = page.dataoffsets[index], page.databytecounts[index]
    with path.open("r+b") as handle:
        handle.seek(start)
        handle.write(bytes(length))


def truncate(path: Path, share: float) -> None:
    """Keep only the first part of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
