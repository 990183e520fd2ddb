"""What the system refused, as the errors that the command line reports.

A path that cannot be used is wrong input. A full disk is not, nor is memory that ran out: both may
be enough at another time.
"""

from __future__ import annotations

import errno
import os
import re
import sys

from survfuse.core.errors import RetryableError, SurvfuseError, UserInputError
from survfuse.core.user_paths import locale_fault

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
BAD_DEVICE = {errno.EIO, errno.ESTALE, errno.ENODEV}
WRONG_PATH = {
    errno.ENOENT: "there is no such file; correct the path, or run the command that writes it",
    errno.ENOTDIR: "lies below a file; name a place in a directory",
    errno.EEXIST: "is a file, where a directory is needed; name another place",
    errno.EISDIR: "is a directory, where a file is needed; name a file in it",
    errno.EACCES: "may not be used by you; change its permissions, or name another place",
    errno.EPERM: "may not be used by you; change its permissions, or name another place",
    errno.EROFS: "lies on a file system that cannot be written; name another place",
    errno.ENAMETOOLONG: "is too long for a path; shorten it",
    errno.ELOOP: "is a link that leads back to itself; correct it",
}
# Parts of PyTorch raise a RuntimeError that only its text tells from others.
NO_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
IN_TEXT = re.compile(r"name = '([^']*)'")  # where h5py tells which file it is about


def of_system(error: Exception) -> SurvfuseError | None:
    """The error to report for one that the system caused; None for any other, a defect."""
    if ran_out_of_memory(error):
        return RetryableError("memory ran out; run this job again with more")
    if isinstance(error, UnicodeEncodeError) and error.encoding != "utf-8":
        return UserInputError(f"the text or path {locale_fault(str(error.object))}")
    place = place_of(error)
    where = f"{place}: " if place else ""
    if any(os.strerror(number) in str(error) for number in NO_SPACE):  # safetensors has no errno
        return RetryableError(f"{where}the disk is full; free some space and run this job again")
    if not isinstance(error, OSError):
        return None
    if error.errno in BAD_DEVICE:
        return RetryableError(
            f"{where}the disk failed ({error.strerror}); check it and run this job again"
        )
    if place and error.errno in WRONG_PATH:
        return UserInputError(f"{where}{WRONG_PATH[error.errno]}")
    return None


def place_of(error: Exception) -> str | None:
    """The path that an error is about, if it tells one."""
    named = IN_TEXT.search(str(error))
    told = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return told or (named[1] if named else None)


def ran_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on a GPU too. PyTorch is asked only where it is loaded already."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in NO_MEMORY)
