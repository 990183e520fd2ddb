"""Reading HDF5 files that other people wrote: only what lies in the very file, and only if it fits.

A name in HDF5 may stand for data of another file (links, virtual datasets, raw external storage),
which would turn any file that the process may read into embeddings; and a shape costs nothing to
write down.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from survfuse.modalities.slides.faults import BadFeatures

# Filters that every HDF5 library has: gzip, shuffle, checksum, and lzf of h5py.
KNOWN_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
KNOWN_FILTERS |= {h5py.h5z.FILTER_LZF}
LONGEST_ATTRIBUTE = 16  # values


def own_dataset(file: h5py.File, name: str) -> h5py.Dataset | None:
    """The dataset of this name at the root of the file; None if there is nothing of that name.

    Raises BadFeatures if it is no dataset of numbers, or its data do not lie in this file.
    """
    key = name.encode()
    if not file.id.links.exists(key):
        return None
    if file.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise BadFeatures(f"{name} is a link, maybe to another file; write the numbers themselves")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise BadFeatures(f"{name} is a group, not a dataset; write one dataset (N, D)")
    creation = dataset.id.get_create_plist()
    if dataset.is_virtual or creation.get_external_count():
        raise BadFeatures(f"the numbers of {name} lie in another file; write them into this one")
    filters = {creation.get_filter(number)[0] for number in range(creation.get_nfilters())}
    if filters - KNOWN_FILTERS:
        raise BadFeatures(
            f"{name} is compressed with HDF5 filter {min(filters - KNOWN_FILTERS)}, which is not "
            "read; write it plain or with gzip"
        )
    try:
        dtype = dataset.dtype
    except TypeError:
        raise BadFeatures(f"{name} holds a type that is not read; write numbers") from None
    if dtype.kind not in "iuf" or dataset.shape is None:
        raise BadFeatures(f"{name} holds {dtype} of shape {dataset.shape}; write numbers")
    return dataset


def read_numbers(dataset: h5py.Dataset, path: Path, most_bytes: int) -> NDArray[Any]:
    """The values of a dataset that `own_dataset` accepted, in the byte order of the machine.

    What is stored in one piece is mapped, not read. Raises BadFeatures if the file has no values
    for it, or if reading takes more than `most_bytes`.
    """
    wanted = dataset.size * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if wanted and not stored:
        raise BadFeatures(
            f"{dataset.name} of shape {dataset.shape} was never filled; write it again"
        )
    if mapped := mapped_numbers(dataset, path):
        return mapped[0]
    chunk = np.prod(dataset.chunks or (0,), dtype=float) * dataset.dtype.itemsize
    if max(wanted, chunk) > most_bytes:
        raise BadFeatures(
            f"{dataset.name} of shape {dataset.shape} takes {max(wanted, chunk) / 2**30:.3g} GiB "
            f"of memory, more than {most_bytes / 2**30:.3g}; write it in one piece (contiguous), "
            "or correct the file"
        )
    values = np.asarray(dataset[...])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def mapped_numbers(dataset: h5py.Dataset, path: Path) -> tuple[NDArray[Any]] | None:
    """A read-only memory map of a dataset, or None where its bytes are not the values.

    Raises BadFeatures if the values should lie behind the end of the file.
    """
    start, dtype = dataset.id.get_offset(), dataset.dtype
    if start is None or dataset.size == 0 or dataset.file.userblock_size:
        return None
    if not dtype.isnative or not dataset.id.get_type().equal(h5py.h5t.py_create(dtype)):
        return None  # such as 16-bit floats of other layouts, which HDF5 converts
    if start + dataset.size * dtype.itemsize > path.stat().st_size:
        raise BadFeatures(
            f"{dataset.name} of shape {dataset.shape} is longer than the file, which is cut short; "
            "copy it again"
        )
    return (np.memmap(path, dtype, "r", start, dataset.shape),)


def text_of(holder: h5py.Dataset | h5py.File, name: str) -> str:
    """An attribute as text; "" if it is not there or not text."""
    value = attribute(holder, name)
    return value if isinstance(value, str) else ""


def number_of(holder: h5py.Dataset | h5py.File, name: str) -> float | None:
    """An attribute as a positive number, the first of several; None if it is none."""
    value = attribute(holder, name)
    return value if isinstance(value, float) and 0 < value < np.inf else None


def attribute(holder: h5py.Dataset | h5py.File, name: str) -> str | float | None:
    """The first value of an attribute; None if it is not there or of another kind."""
    try:
        if name not in holder.attrs:
            return None
        shape = holder.attrs.get_id(name).shape
        if shape is None or np.prod(shape, dtype=float) > LONGEST_ATTRIBUTE:
            return None
        value = np.ravel(np.asarray(holder.attrs[name]))[0]
    except (OSError, KeyError, TypeError, ValueError, IndexError, RuntimeError):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return str(value)  # not NumPy's own kind of text
    return float(value) if isinstance(value, int | float | np.number) else None
