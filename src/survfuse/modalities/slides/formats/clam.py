"""Export in the layout of CLAM, for tools that read nothing else.

A coordinates file cannot serve CLAM and TRIDENT at once: `patch_size` counts pixels at a pyramid
level in one and at the target resolution in the other.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from survfuse.core.files import atomic_path
from survfuse.core.hdf5_files import new_hdf5
from survfuse.modalities.slides.reading.tiles import Tiles
from survfuse.modalities.slides.store import SlideFacts

FEATURE_ROWS = 32  # rows per chunk in CLAM's files


def clam_paths(root: Path, slide_id: str) -> tuple[Path, Path, Path]:
    """Where the coordinates, the embeddings and the tensor of a slide go."""
    return (
        root / "patches" / f"{slide_id}.h5",
        root / "h5_files" / f"{slide_id}.h5",
        root / "pt_files" / f"{slide_id}.pt",
    )


def export_clam(
    root: Path,
    features: NDArray[np.float16],
    tiles: Tiles,
    facts: SlideFacts,
    level: int,
    downsample: float,
    level_size: tuple[int, int],
) -> None:
    """Write patches/, h5_files/ and pt_files/ for one slide below `root`.

    `level` is the pyramid level to read tiles from, `downsample` its scale and `level_size` its
    (width, height). CLAM reads whole pixels of that level, so its tiles are exact to half of one.
    """
    import torch

    patches, embeddings, tensor = clam_paths(root, facts.slide_id)
    with atomic_path(patches) as temporary, new_hdf5(temporary) as file:
        coords = file.create_dataset(
            "coords", data=tiles.coords.astype(np.int64), chunks=(1, 2), maxshape=(None, 2)
        )
        coords.attrs.update(
            {
                "patch_size": round(tiles.side_px0 / downsample),
                "patch_level": level,
                "downsample": np.array([downsample, downsample]),
                "downsampled_level_dim": np.array(level_size),
                "level_dim": np.array(level_size),
                "name": facts.slide_id,
                "save_path": patches.parent.name,
            }
        )
    single = features.astype(np.float32)
    with atomic_path(embeddings) as temporary, new_hdf5(temporary) as file:
        width = single.shape[1]
        file.create_dataset(
            "features", data=single, chunks=(FEATURE_ROWS, width), maxshape=(None, width)
        )
        file.create_dataset(
            "coords",
            data=tiles.coords.astype(np.int32),
            chunks=(FEATURE_ROWS, 2),
            maxshape=(None, 2),
        )
    archive = io.BytesIO()  # in a file, PyTorch would store the temporary name
    torch.save(torch.from_numpy(single), archive)
    with atomic_path(tensor) as temporary:
        temporary.write_bytes(archive.getvalue())
