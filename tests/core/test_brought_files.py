"""Files that people bring: pipes, folders, damage and bombs are told before they do harm."""

import gzip
import os
from pathlib import Path

import pytest

from survfuse.core.brought_files import UnusableFileError, require_regular, unpack_gzip


def test_a_regular_file_tells_its_size(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert require_regular(file).st_size == 5


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UnusableFileError, match="pipe"):
        require_regular(pipe)
    with pytest.raises(UnusableFileError, match="folder"):
        require_regular(tmp_path)


def test_gzip_is_read_to_its_checksum(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(content, 1))
    assert b"".join(unpack_gzip(file, len(content))) == content
    with pytest.raises(UnusableFileError, match="more than"):
        list(unpack_gzip(file, len(content) - 1))


@pytest.mark.parametrize("place", [5000, -6])
def test_a_flipped_bit_and_a_wrong_checksum_are_damage(tmp_path: Path, place: int) -> None:
    packed = bytearray(gzip.compress(os.urandom(100_000), 1))
    packed[place] ^= 16
    (tmp_path / "a.gz").write_bytes(packed)
    with pytest.raises(UnusableFileError, match="damaged"):
        list(unpack_gzip(tmp_path / "a.gz", 1 << 30))


def test_a_file_cut_short_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(os.urandom(100_000))[:-20])
    with pytest.raises(UnusableFileError, match="cut short"):
        list(unpack_gzip(tmp_path / "a.gz", 1 << 30))
