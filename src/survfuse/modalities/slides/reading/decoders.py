"""Which compressions of slides this installation can decode."""

from __future__ import annotations

import imagecodecs
import openslide

# What slides are compressed by, and what imagecodecs calls it.
COMPRESSIONS = {
    "JPEG": "JPEG8",
    "JPEG 2000": "JPEG2K",
    "JPEG XR": "JPEGXR",
    "deflate": "ZLIB",
    "LZW": "LZW",
    "WebP": "WEBP",
    "Zstandard": "ZSTD",
}


def decoders() -> dict[str, str]:
    """Version of OpenSlide, and for each compression whether imagecodecs decodes it."""
    found = {"OpenSlide": str(openslide.__library_version__)}
    for name, codec in COMPRESSIONS.items():
        found[name] = "yes" if getattr(imagecodecs, codec).available else "no"
    return found
