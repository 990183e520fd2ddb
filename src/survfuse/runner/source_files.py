"""What the workflow knows of the files that people bring before it starts a job.

The rows of their sheets, and how the files that those name look from outside: times and sizes,
never contents, so that ten thousand slides cost a listing and no reading. Whatever is wrong with a
sheet is left to the check of the cohort; here it has no rows.
"""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from survfuse.core.batches import items_of
from survfuse.core.brought_files import CHUNK_BYTES, UnusableFileError, require_regular, unpack_gzip
from survfuse.core.files import sha256_file, sha256_json

LARGEST_SHEET_BYTES = 1 << 28
LONGEST_LINE_BYTES = 1 << 20
LARGEST_READ_BYTES = 1 << 20  # of single files that are compared by content
MIRAX = ".mrxs"  # an index; the pixels are in a folder of the same name


@dataclass(frozen=True)
class Item:
    """One slide, or all volumes of one patient: what a batch is made of."""

    key: str
    files: tuple[Path, ...]


def rows_of(sheet: Path) -> list[dict[str, str]]:
    """The rows of a sheet by its header, stripped text; none where it cannot be read as a table.

    Pipes and devices are not opened, and neither sheets nor lines of absurd size are read on.
    """
    separator = "," if ".csv" in sheet.suffixes[-2:] else "\t"
    text = (line.decode("utf-8-sig", errors="replace") for line in lines(sheet))
    try:
        records = [
            stripped
            for cells in csv.reader(text, delimiter=separator)
            if any(stripped := [cell.strip() for cell in cells])
        ]
    except (OSError, csv.Error):
        return []
    header, *rows = records or [[]]
    return [dict(zip(header, row, strict=False)) for row in rows]


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a plain or gzipped file.

    Raises UnusableFileError, an OSError, where it is none or of absurd size.
    """
    rest = b""
    for piece in pieces(path):
        *whole, rest = (rest + piece).splitlines(keepends=True)
        if len(rest) > LONGEST_LINE_BYTES:
            raise UnusableFileError(f"has a line of more than {LONGEST_LINE_BYTES >> 20} MiB")
        yield from whole
    if rest:
        yield rest


def pieces(path: Path) -> Iterator[bytes]:
    """The content of a plain or gzipped file, up to LARGEST_SHEET_BYTES."""
    if path.suffix.lower() == ".gz":
        yield from unpack_gzip(path, LARGEST_SHEET_BYTES)
        return
    if require_regular(path).st_size > LARGEST_SHEET_BYTES:
        raise UnusableFileError(f"is larger than {LARGEST_SHEET_BYTES >> 20} MiB")
    with path.open("rb") as handle:
        while piece := handle.read(CHUNK_BYTES):
            yield piece


def slide_items(sheet: Path) -> list[Item]:
    """The slides of a sheet in the order in which they are dealt to batches."""
    return [
        Item(
            row.get("slide_id", ""), named(sheet, row, ["features"]) or named(sheet, row, ["path"])
        )
        for row in sorted(rows_of(sheet), key=lambda row: row.get("slide_id", ""))
    ]


def image_items(sheet: Path) -> list[Item]:
    """The patients of an image sheet in the order in which they are dealt to batches."""
    files: dict[str, list[Path]] = {}
    for row in rows_of(sheet):
        found = named(sheet, row, ("path", "mask", "reference", "registration"))
        files.setdefault(row.get("patient_id", ""), []).extend(found)
    return [Item(patient, tuple(paths)) for patient, paths in sorted(files.items())]


def named(sheet: Path, row: dict[str, str], columns: Iterable[str]) -> tuple[Path, ...]:
    """The files that a row names, which are relative to the directory of the sheet."""
    cells = [row.get(column, "") for column in columns]
    return tuple(sheet.parent / os.path.expanduser(cell) for cell in cells if cell)  # noqa: PTH111


def batch_digest(items: Sequence[Item], batch: int, batches: int) -> str:
    """Hash of the times and sizes of the files of one batch; another one if any was replaced.

    The order of rows makes no difference: a sheet as it was checked has another one.
    """
    mine = items[items_of(batch, batches)]
    return sha256_json([[item.key, *sorted(map(look, item.files))] for item in mine])[:12]


def look(path: Path) -> list[int]:
    """Time of the last change (ns), size (bytes) and number of files; [] where nothing is there.

    A folder of DICOM slices counts as one item: newest time, total size.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as entries:
                inside = [entry.stat() for entry in entries if entry.is_file()]
            times = [piece.st_mtime_ns for piece in inside]
            return [max(times, default=0), sum(piece.st_size for piece in inside), len(inside)]
        pixels = look(path.with_suffix("")) if path.suffix.lower() == MIRAX else []
        return [status.st_mtime_ns, status.st_size, 1, *pixels]
    except (OSError, ValueError):  # ValueError: no path at all
        return []


def content_digest(paths: Iterable[Path]) -> str:
    """Hash of a few files: of the contents of small ones, of times and sizes of the others.

    A small file that was only copied is therefore the same file, as it is for Snakemake.
    """
    found: list[str | list[int]] = []
    for path in paths:
        try:
            small = require_regular(path).st_size <= LARGEST_READ_BYTES
            found.append(sha256_file(path) if small else look(path))
        except OSError:
            found.append([])
    return sha256_json(found)[:12]
