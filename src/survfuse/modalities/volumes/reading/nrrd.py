"""Reading NRRD (teem.sourceforge.net/nrrd/format.html), to the end of the file and its checksum.

The header is read here, and not by a library, because its `space` has to name the anatomy, and
because nothing is allocated by its word before it was compared with what the file holds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survfuse.core.brought_files import UnusableFileError, require_regular, unpack_gzip
from survfuse.modalities.volumes.faults import COPY, NoOrientation, UnreadableVolume
from survfuse.modalities.volumes.volume import (
    MOST_BYTES,
    Affine,
    Volume,
    check_geometry,
    new_volume,
    three_sides,
)

MOST_HEADER_BYTES = 1 << 20
RAS_FROM_SPACE = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
UNIT_MM = {"mm": 1.0, "um": 0.001, "cm": 10.0, "m": 1000.0, "": 1.0}
TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, "
    "int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
CODES = {name: code for code, names in TYPES.items() for name in names.split(", ")}
TEXT_BYTES = 32  # the most that one number takes where voxels are written as text


@dataclass(frozen=True)
class Header:
    """What a header says: `fields` by their names in small letters without spaces."""

    fields: dict[str, str]
    end: int  # bytes, where the voxels begin

    def numbers(self, name: str) -> list[int]:
        """A field of whole numbers. Raises ValueError."""
        return [int(word) for word in self.fields.get(name, "").split()]

    def number(self, name: str) -> int:
        """A field of one whole number, 0 where it is absent. Raises ValueError."""
        return int(self.fields.get(name, "0"))


def read_nrrd(path: Path) -> Volume:
    """A NRRD file that holds its voxels; trailing axes of length 1 are dropped.

    Raises UnreadableVolume, NoOrientation, WrongDimension or ImplausibleVoxels.
    """
    try:
        header = read_header(path)
        sizes = header.numbers("sizes")
        if len(sizes) != header.number("dimension") or min(sizes, default=0) < 1:
            raise UnreadableVolume(f"the header gives no usable sizes; {COPY}")
        shape = three_sides(tuple(sizes))
        affine = affine_of(header)
        check_geometry(shape, affine)
        numbers = voxels(path, header, math.prod(shape))
    except UnusableFileError as error:
        raise UnreadableVolume(f"the file {error}; {COPY}") from None
    except (OSError, ValueError, OverflowError):
        raise UnreadableVolume(f"the file is cut short, damaged, or no NRRD; {COPY}") from None
    return new_volume(numbers.reshape(shape, order="F"), affine)


def read_header(path: Path) -> Header:
    """The fields of a file up to the first empty line.

    Raises UnreadableVolume where there is no end, a field stands twice, or voxels lie elsewhere.
    """
    require_regular(path)
    fields: dict[str, str] = {}
    with path.open("rb") as stored:
        if not stored.readline(16).startswith(b"NRRD000"):
            raise UnreadableVolume(f"the file is no NRRD; {COPY}")
        while line := stored.readline(MOST_HEADER_BYTES).strip(b"\r\n"):
            if stored.tell() > MOST_HEADER_BYTES:
                raise UnreadableVolume(f"the header has no end; {COPY}")
            name, colon, value = line.decode("utf-8", errors="replace").partition(":")
            if not colon or name.startswith("#") or value.startswith("="):
                continue  # a comment, or a pair of key and value, which means nothing to us
            name = name.replace(" ", "").lower()
            if fields.setdefault(name, value.strip()) != value.strip():
                raise UnreadableVolume(f"the header says two things of one field; {COPY}")
        end = stored.tell()
    if "datafile" in fields:
        raise UnreadableVolume(
            "the header names another file for its voxels, which may have changed since, or lie "
            "anywhere; save header and voxels in one .nrrd file, or convert the volume to NIfTI"
        )
    return Header(fields, end)


def affine_of(header: Header) -> Affine:
    """Voxel index to RAS mm.

    Raises NoOrientation where the space names no anatomy or axes have no direction, ValueError
    for what is no number.
    """
    signs = RAS_FROM_SPACE.get(header.fields.get("space", "").lower())
    directions = vectors(header.fields.get("spacedirections", ""))[:3]
    if signs is None or len(directions) != 3 or any(len(vector) != 3 for vector in directions):
        raise NoOrientation(
            "the header names no anatomical space (right-anterior-superior, "
            "left-anterior-superior or left-posterior-superior) with the directions of three axes, "
            "so left and right are unknown; export the volume again"
        )
    affine = np.eye(4)
    affine[:3, :3] = np.array(directions).T
    affine[:3, 3] = (vectors(header.fields.get("spaceorigin", "")) or [[0.0, 0.0, 0.0]])[0]
    units = re.findall(r'"([^"]*)"', header.fields.get("spaceunits", "")) or ["mm"]
    if len(set(units)) > 1 or units[0].lower() not in UNIT_MM:
        raise UnreadableVolume(f"the header names no known unit of length; {COPY}")
    scale = UNIT_MM[units[0].lower()]
    return affine * [*([scale * sign] for sign in signs), [1.0]]


def vectors(text: str) -> list[list[float]]:
    """The vectors of a field, `(1,0,0) none (0,0,2)`; none is empty. Raises ValueError."""
    found = re.findall(r"\(([^()]*)\)|none", text)
    return [[float(word) for word in inside.split(",")] if inside else [] for inside in found]


def voxels(path: Path, header: Header, count: int) -> NDArray[Any]:
    """The numbers of a file, in the order in which they are stored.

    Raises UnreadableVolume, UnusableFileError (a damaged compressed stream), or ValueError.
    """
    code = CODES.get(header.fields.get("type", "").lower())
    encoding = header.fields.get("encoding", "").lower()
    if code is None or encoding not in ("raw", "gzip", "gz", "ascii", "text", "txt"):
        raise UnreadableVolume(
            "the numbers are of another type or encoding than those read here (raw, gzip, text); "
            "convert the volume to NIfTI"
        )
    start = after_lines(path, header)
    skip, wanted = header.number("byteskip"), count * np.dtype(code).itemsize
    held_bytes = require_regular(path).st_size - start
    if encoding in ("ascii", "text", "txt"):
        with path.open("rb") as stored:
            stored.seek(start)
            text = stored.read(min(held_bytes, count * TEXT_BYTES))
        numbers = np.array(text.split(), dtype=np.float64)
        if len(numbers) != count:
            raise ValueError
        return numbers
    if encoding in ("gzip", "gz"):
        content = unpacked(path, start, skip + wanted)
    else:
        skip = held_bytes - wanted if skip == -1 else skip
        with path.open("rb") as stored:
            stored.seek(start)
            content = stored.read(min(held_bytes, skip + wanted))
    if skip < 0 or len(content) < skip + wanted:
        raise ValueError
    if np.dtype(code).itemsize > 1:
        code = (">" if header.fields.get("endian", "").lower() == "big" else "<") + code
    return np.frombuffer(content, code, count, offset=skip)


def after_lines(path: Path, header: Header) -> int:
    """Where voxels begin, in bytes, behind the lines that the header tells to leave out."""
    with path.open("rb") as stored:
        stored.seek(header.end)
        for _ in range(header.number("lineskip")):
            if not stored.readline(MOST_HEADER_BYTES):
                raise ValueError
        return stored.tell()


def unpacked(path: Path, start: int, wanted: int) -> bytes:
    """At least the first `wanted` bytes of a compressed stream that was read to its end."""
    content = BytesIO()
    for piece in unpack_gzip(path, MOST_BYTES, start):
        if content.tell() < wanted:
            content.write(piece)
    return content.getvalue()
