"""Atomic writing, JSON, tables of text and content hashes: the file habits shared by all stages."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse.core.errors import UserInputError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and renamed.

    A reader therefore sees either the old file or the complete new one, never half of it. The
    temporary name keeps the suffix of `path`, because several libraries choose a format by it.
    """
    path = Path(path)
    if path.is_dir():  # the rename would fail, after all work, and name the temporary file
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~current_umask())  # mkstemp makes 0600 whatever the umask says
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def current_umask() -> int:
    """The process umask (the only portable way to read it is to set it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | Path, text: str) -> None:
    """Write `text` atomically as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` atomically with sorted keys, so that equal content gives equal bytes.

    Raises ValueError on NaN and infinity: JSON has neither, and a missing number must be null.
    """
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object that a stage wrote; raises UserInputError naming the file."""
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file; run the stage that writes it") from None
    except ValueError as error:
        raise UserInputError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserInputError(f"{path}: expected an object, found {type(value).__name__}")
    return value


def read_text_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a TSV of an earlier stage as text; empty cells are "".

    Raises UserInputError where the file is not there, is no table or lacks one of the columns.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise UserInputError(
            f"{path}: no such table; run the stage that writes it, or correct the path"
        ) from None
    except ValueError as error:  # of pandas, or of a file in another encoding
        raise UserInputError(
            f"{path}: not readable as a tab-separated table ({error}); write it again"
        ) from None
    if missing := [name for name in columns if name not in table]:
        raise UserInputError(
            f"{path}: the column {missing[0]} is missing; write the table again with this version"
        )
    return table


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def require_unchanged(path: Path, sha256: str, recorded_in: Path, remedy: str) -> None:
    """Raise UserInputError unless the bytes of a file have the hash that was recorded of it.

    An empty hash was recorded by nobody, and accepts any file that is there.
    """
    try:
        same = sha256_file(path) == sha256 if sha256 else path.is_file()
    except OSError:
        same = False
    if not same:
        what = "was changed after it was written" if path.is_file() else "is no longer there"
        raise UserInputError(
            f"{path}: {what} (its SHA-256 is not the one in {recorded_in}); {remedy}"
        )


def sha256_json(value: Any) -> str:
    """SHA-256 of a JSON-serialisable value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
