"""Opening files that people bring: regular files only, and no more bytes than a ceiling allows."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

CHUNK_BYTES = 1 << 20
LONGEST_POINTER = 1024  # bytes
POINTERS = (  # how files begin that stand for others, and what brings those
    (b"version https://git-lfs", "Git LFS", "git lfs pull"),
    (b"/annex/objects/", "git-annex", "datalad get (or git annex get)"),
)


class UnusableFileError(OSError):
    """A file that is not opened, or not read on; the message says why, for people."""


def require_regular(path: Path) -> os.stat_result:
    """The status of a regular file (links are followed).

    Opening a named pipe waits for ever, a device never ends. Raises UnusableFileError for those
    and for directories, FileNotFoundError where there is nothing.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise UnusableFileError("is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise UnusableFileError("is a pipe, socket or device, not a file")
    return status


def pointer_to_content(path: Path) -> tuple[str, str] | None:
    """What a file or link is that stands for content that was not downloaded, and the remedy.

    Clones of Git LFS and of DataLad or git-annex repositories have them. None for other files.
    """
    if path.is_symlink() and not path.exists():
        if "/annex/objects/" not in path.readlink().as_posix():
            return None
        _, kind, remedy = POINTERS[1]
    else:
        status = require_regular(path)
        if status.st_size > LONGEST_POINTER:
            return None
        with path.open("rb") as stored:
            head = stored.read(LONGEST_POINTER)
        found = next((told for start, *told in POINTERS if head.startswith(start)), None)
        if found is None:
            return None
        kind, remedy = found
    return f"is a pointer of {kind}: its content was not downloaded", f"run {remedy}"


def unpack_gzip(path: Path, ceiling_bytes: int, start: int = 0) -> Iterator[bytes]:
    """The unpacked content of a gzip file in pieces of at most 1 MiB, to its end and checksum.

    `start` is where the packed content begins, in bytes. Only who takes the last piece knows that
    the content is intact. Raises UnusableFileError where the file is damaged, cut short, or unpacks
    to more than the ceiling.
    """
    require_regular(path)
    total = 0
    try:
        with path.open("rb") as stored, gzip.GzipFile(fileobj=stored) as packed:
            stored.seek(start)
            while piece := packed.read(CHUNK_BYTES):
                total += len(piece)
                if total > ceiling_bytes:
                    raise UnusableFileError(f"unpacks to more than {ceiling_bytes / 2**30:.3g} GiB")
                yield piece
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnusableFileError(f"is damaged or cut short: {error}") from None
