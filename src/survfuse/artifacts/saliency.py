"""The file of coarse maps of what in a volume moved a diagnosis, and the one place that knows it.

Layout of `<model>.saliency.h5`: `/<patient_id>/<modality>` (i, j, k) float32, one value per cubic
block of BLOCK voxels a side of the prepared volume, with its axes; the last block of an axis may be
cut off by its end.
The value is by how much the block moved the probability of a class: above 0 it speaks for the
class, below 0 against it. Which class it is says the attribute `class` of the patient's group, a
number: of two classes 1, of more the most probable one of this patient. The attribute `method` of
the file says how it was computed. Only real volumes are mapped, never synthetic ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path
from survfuse.core.hdf5_files import new_hdf5, open_hdf5, write_checked
from survfuse.modalities.registry import MODALITIES

BLOCK = 4  # voxels along each axis; finer maps are noise


@dataclass(frozen=True)
class Saliency:
    """The maps of one patient by modality, each (i, j, k), and how they were computed.

    `number`: the class that they speak for or against.
    """

    maps: dict[str, np.ndarray]
    method: str
    number: int = 1


def write_saliency(
    path: str | Path,
    patients: Mapping[str, Mapping[str, np.ndarray]],
    method: str,
    classes: Mapping[str, int],
) -> None:
    """Write the maps of all patients, atomically; `classes`: the class that each one's are of.

    Raises UserInputError for what is no map.
    """
    for patient, maps in patients.items():
        for modality, values in maps.items():
            check_map(values, f"{path}: patient {patient}, {modality}")
            if modality not in MODALITIES:
                raise UserInputError(f"{path}: {modality!r} is no modality; correct the model")
    with atomic_path(path) as temporary, new_hdf5(temporary, track_order=True) as file:
        file.attrs["method"] = method
        for patient, maps in patients.items():
            group = file.create_group(patient)
            group.attrs["class"] = classes[patient]
            for modality, values in maps.items():
                write_checked(group, modality, np.asarray(values, dtype=np.float32))


def read_saliency(path: str | Path, patient_id: str) -> Saliency | None:
    """The maps of one patient, None if there are none.

    Raises UserInputError if the file is not readable or a map is none.
    """
    try:
        with open_hdf5(path) as file:
            if patient_id not in file:
                return None
            maps = {str(name): np.asarray(data[()]) for name, data in file[patient_id].items()}
            method = str(file.attrs["method"])
            number = int(file[patient_id].attrs.get("class", 1))  # it always was, once
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise UserInputError(f"{path}: no file of saliency maps ({error}); predict again") from None
    for modality, values in maps.items():
        check_map(values, f"{path}: patient {patient_id}, {modality}")
    return Saliency(maps, method, number)


def check_map(values: np.ndarray, where: str) -> None:
    """Raise UserInputError unless it is a three-dimensional map of finite numbers."""
    if np.ndim(values) != 3 or 0 in np.shape(values) or not np.isfinite(values).all():
        raise UserInputError(
            f"{where}: a map needs three axes and finite numbers; correct the model that wrote it"
        )
