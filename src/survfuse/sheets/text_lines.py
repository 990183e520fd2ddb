"""The lines of a text table: regular files only, gzip to its checksum, no endless line."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

from survfuse.core.brought_files import UnusableFileError, require_regular, unpack_gzip

LONGEST_LINE = 64 << 20  # characters; 3 million genes take about as many
LARGEST_SHEET_BYTES = 1 << 30  # of a sheet, unpacked
LARGEST_MATRIX_BYTES = 64 << 30  # of a gene matrix, unpacked; the largest known are of 10 GiB
FREE_BYTES = 1 << 30  # up to here a gzip file may be packed as tightly as it likes
DENSEST = 100  # beyond, the unpacked size over the packed one; tables of numbers reach 3 to 20
HEAD_BYTES = 512
DELIMITER_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
SAVE = "save it as CSV UTF-8 (.csv) or as tab-separated UTF-8 text (.tsv)"
NO_TEXT = "is UTF-16 text or no text"
FETCH_AGAIN = "copy or download the file again"
SIGNATURES = (
    ((b"\xff\xfe", b"\xfe\xff"), "is UTF-16 text (what Excel calls Unicode text)", SAVE),
    ((b"PK\x03\x04",), "is a zip archive or an Excel workbook", SAVE),
    ((b"\xd0\xcf\x11\xe0",), "is an old Excel workbook", SAVE),
    ((b"PAR1",), "is a Parquet file", "name it .parquet; sheets other than genes: .tsv or .csv"),
    ((b"\x1f\x8b",), "is packed with gzip", "add .gz to its name"),
    ((b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"), "is packed", "unpack it, or pack it with gzip"),
    ((b"\x89HDF",), "is an HDF5 file", SAVE),
    ((b"%PDF",), "is a PDF document", SAVE),
    ((b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"), "is a web page", "download the file itself"),
    ((b"version https://git-lfs",), "is the pointer of a Git LFS file", "run git lfs pull"),
)


class Pieces(io.RawIOBase):
    """A byte stream of the pieces that an iterator yields, for the text layer of the library."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self.rest:
            self.rest = memoryview(next(self.pieces, b""))
        count = min(len(buffer), len(self.rest))
        buffer[:count], self.rest = self.rest[:count], self.rest[count:]
        return count


def text_lines(path: Path, ceiling_bytes: int) -> Iterator[str]:
    r"""The lines of a plain or gzipped text file, with their ends (\n, \r or \r\n).

    Undecodable bytes become surrogates. Raises UnusableFileError for what is no regular file, is
    larger than the ceiling, is packed beyond belief or damaged, is no text, or has a line of more
    than 64 million characters; FileNotFoundError where there is nothing.
    """
    size = require_regular(path).st_size
    raw: io.RawIOBase
    if path.suffix.lower() == ".gz":
        raw = Pieces(unpack_gzip(path, min(ceiling_bytes, max(FREE_BYTES, DENSEST * size))))
    elif size > ceiling_bytes:
        raise UnusableFileError(f"is larger than {ceiling_bytes / 2**30:.3g} GiB")
    else:
        raw = path.open("rb", buffering=0)
    with io.BufferedReader(raw, 1 << 20) as content:
        if found := foreign(content.peek(HEAD_BYTES)[:HEAD_BYTES]):
            raise UnusableFileError(found[0])
        with io.TextIOWrapper(content, "utf-8-sig", "surrogateescape", newline="") as text:
            while line := text.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    raise UnusableFileError(
                        f"has a line of more than {LONGEST_LINE >> 20} million characters"
                    )
                yield line


def foreign(head: bytes) -> tuple[str, str] | None:
    """What a file is that begins so, and the remedy; None where it may be text in UTF-8."""
    for starts, fault, remedy in SIGNATURES:
        if head.startswith(starts):
            return fault, remedy
    if head.count(0) * 3 > len(head):
        return NO_TEXT, SAVE
    return None


def remedy_of(fault: str) -> str:
    """What to do about a fault that `text_lines` found."""
    for _, known, remedy in SIGNATURES:
        if fault == known:
            return remedy
    if fault == NO_TEXT:
        return SAVE
    if "Not a gzipped file" in fault:
        return "pack it with gzip, or remove .gz from its name"
    if "damaged" in fault:
        return FETCH_AGAIN
    return "name a table of text"


def other_delimiter(line: str, promised: str) -> str | None:
    """The delimiter of a header that has none of the promised ones outside quotes, or None."""
    bare = re.sub(r'"[^"]*"', "", line)
    if promised in bare:
        return None
    counts = {mark: bare.count(mark) for mark in DELIMITER_NAMES}
    mark = max(counts, key=counts.__getitem__)
    return mark if counts[mark] else None
