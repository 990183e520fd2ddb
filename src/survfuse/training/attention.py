"""The file of attention weights per patient, for reports.

Layout: `/<patient_id>/<attention>` (N,) weights, named as the registry of modalities calls them:
`slides` of the tiles, which sum to 1, with `slide_id`, `coords` (level-0 pixels) and `tile_px0`
beside it; `groups` of the gene groups, their names in the attribute `names`. A dataset that a
model does not provide is absent, as is one of what was not read of the patient: the models of a
fold in whose training nobody has slides read none of those who are tested there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from survfuse.artifacts.prediction import Predicted
from survfuse.core.files import atomic_path
from survfuse.core.hdf5_files import new_hdf5, open_hdf5
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import ATTENTION


@dataclass(frozen=True)
class StoredAttention:
    """Attention weights (N,) of one patient, and what they lie on; see `protocol.Attended`.

    Without a column where the file has none of it.
    """

    weights: np.ndarray
    columns: Mapping[str, np.ndarray]
    names: tuple[str, ...] = ()


def write_attention(path: Path, predictions: Sequence[tuple[Predicted, CohortInputs]]) -> None:
    """Write the attention of predictions, each with its inputs, into one HDF5 file, atomically."""
    with atomic_path(path) as temporary, new_hdf5(temporary, track_order=True) as file:
        for prediction, inputs in predictions:
            for row, patient_id in enumerate(prediction.patient_ids):
                group = file.create_group(patient_id)
                for key, name in ATTENTION.items():
                    weights = prediction.attention[key][row] if key in prediction.attention else ()
                    if not len(weights):
                        continue
                    attended = modality(name).attended(inputs.stores.get(name), patient_id)
                    group[key] = np.asarray(weights, dtype=np.float32)
                    for column, values in attended.columns.items():
                        assert len(values) == len(weights), "one weight for each"
                        group[column] = values if values.dtype.kind != "U" else as_text(values)
                    if attended.names is not None:
                        group[key].attrs["names"] = json.dumps(attended.names)


def as_text(values: np.ndarray) -> np.ndarray:
    """Text as HDF5 stores it."""
    return values.astype(h5py.string_dtype())


def read_attention(path: Path, patient_id: str) -> dict[str, StoredAttention] | None:
    """Attention of one patient as it is called, or None if the file does not know the patient."""
    with open_hdf5(path) as file:
        if patient_id not in file:
            return None
        group = file[patient_id]
        found = {}
        for key, name in ATTENTION.items():
            if key in group:
                beside = [one for one in modality(name).beside_attention if one in group]
                columns = {one: values_of(group[one]) for one in beside}
                names = json.loads(group[key].attrs.get("names", "[]"))
                found[key] = StoredAttention(group[key][:], columns, tuple(names))
        return found


def values_of(dataset: h5py.Dataset) -> np.ndarray:
    """A column, text as text."""
    text = h5py.check_string_dtype(dataset.dtype) is not None
    values: np.ndarray = dataset.asstr()[:] if text else dataset[:]
    return values
