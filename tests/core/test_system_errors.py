"""What the system refuses is told apart: wrong paths, full disks, memory that ran out, defects."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import h5py
import pytest
import torch
from safetensors import SafetensorError

from survfuse.core.files import atomic_path
from survfuse.core.system_errors import of_system


def refused(number: int, *paths: str) -> OSError:
    first, second = (*paths, None, None)[:2]
    return OSError(number, os.strerror(number), first, None, second)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (refused(errno.ENOENT, "a.tsv"), 2, r"^a\.tsv: there is no such file; .*run the command"),
        (refused(errno.EACCES, "a.tsv"), 2, r"^a\.tsv: may not be used by you"),
        (refused(errno.EISDIR, ".tmp", "out"), 2, "^out: is a directory"),  # of a renaming
        (refused(errno.ENOSPC, "a.tsv"), 75, r"^a\.tsv: the disk is full"),
        (refused(errno.ENOSPC), 75, "^the disk is full"),  # writing names no file
        (SafetensorError("I/O error: No space left on device (os error 28)"), 75, "^the disk is"),
        (refused(errno.EIO, "a.tsv"), 75, r"^a\.tsv: the disk failed \(Input/output error\)"),
        (MemoryError(), 75, "memory ran out"),
        (torch.OutOfMemoryError("CUDA out of memory"), 75, "memory ran out"),
    ],
)
def test_causes_are_told_apart(error: Exception, code: int, said: str) -> None:
    told = of_system(error)
    assert told is not None and told.exit_code == code
    with pytest.raises(type(told), match=said):
        raise told


@pytest.mark.parametrize(
    "error",
    [
        KeyError("event"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        refused(errno.EPIPE),
        refused(errno.ENOENT),  # of no file: nothing that a person could correct
    ],
)
def test_defects_stay_defects(error: Exception) -> None:
    assert of_system(error) is None


def test_memory_that_pytorch_cannot_have() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    told = of_system(caught.value)
    assert told is not None and told.exit_code == 75


def test_h5py_names_its_file_in_the_text_alone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="unable to open") as caught:
        h5py.File(tmp_path / "none.h5", "r")
    told = of_system(caught.value)
    assert told is not None and str(told).startswith(f"{tmp_path}/none.h5: there is no such file")


def test_a_directory_is_refused_before_anything_is_written_to_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(IsADirectoryError) as caught, atomic_path(tmp_path / "out"):
        pytest.fail("the work is not begun")
    assert str(of_system(caught.value)).startswith(f"{tmp_path}/out: is a directory")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
