"""Opening HDF5 files also where the file system has no locks, as many network file systems."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from survfuse.core.brought_files import UnusableFileError


def open_hdf5(path: str | Path) -> h5py.File:
    """An HDF5 file to read; use it in a `with` statement.

    Raises UnusableFileError where another program is still writing it, and OSError where it is
    none. A lock that the file system cannot give is done without.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "unable to lock file" not in str(error):
            raise
        if error.errno == errno.EAGAIN:
            raise UnusableFileError("is still being written by another program") from None
        return h5py.File(path, "r", locking=False)


def new_hdf5(path: str | Path, **options: Any) -> h5py.File:
    """A new HDF5 file. Not locked: it gets the name that others know when it is complete."""
    return h5py.File(path, "w", locking=False, **options)


def write_checked(group: h5py.Group, name: str, values: np.ndarray) -> h5py.Dataset:
    """A dataset with checksums, so that reading it fails where the file was damaged since."""
    return group.create_dataset(name, data=values, fletcher32=values.size > 0 or None)
