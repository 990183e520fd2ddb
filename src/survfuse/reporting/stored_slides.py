"""The slides of a run as their preparation left them: the manifest, and the files that it names."""

from __future__ import annotations

from pathlib import Path

from survfuse.core.hdf5_files import open_hdf5
from survfuse.modalities.slides.modality import Slides
from survfuse.modalities.slides.store import SlideStatus
from survfuse.reporting.inputs import RunData


def slides_of(data: RunData) -> tuple[SlideStatus, ...]:
    """The manifest; empty without slides."""
    found: tuple[SlideStatus, ...] = data.brought.get(Slides.source, ())
    return found


def slide_file(data: RunData, relative: str) -> Path | None:
    """A file that the manifest names relative to itself, if it is there."""
    manifest = data.inputs.files.get(Slides.source)
    if not relative or manifest is None:
        return None
    path = manifest.parent / relative
    return path if path.is_file() else None


def level0_size_px0(patches: Path) -> tuple[int, int] | None:
    """Width and height of a slide in level-0 pixels, from its coordinate file, or None."""
    with open_hdf5(patches) as store:
        attributes = store["coords"].attrs
        if "level0_width" not in attributes:
            return None
        return int(attributes["level0_width"]), int(attributes["level0_height"])
