"""The file of attention weights per patient, for reports.

Layout: `/<patient_id>/slides` (N,) weights that sum to 1, with `slide_id`, `coords` (level-0
pixels) and `tile_px0` beside it; `/<patient_id>/groups` (K,) weights of the gene groups, their
names in the attribute `names`. A dataset that a model does not provide is absent, as is one of
what was not read of the patient: the models of a fold in whose training nobody has slides read
none of those who are tested there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from survfuse.artifacts.prediction import ClassPrediction, Prediction
from survfuse.core.files import atomic_path
from survfuse.core.hdf5_files import new_hdf5, open_hdf5
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.omics.matrix import OmicsMatrix
from survfuse.modalities.slides.modality import bags_of


@dataclass(frozen=True)
class PatientAttention:
    """Attention of one patient; None where the model provides none."""

    slides: np.ndarray | None  # (N,)
    slide_id: np.ndarray | None  # (N,) str
    coords: np.ndarray | None  # (N, 2) level-0 pixels
    tile_px0: np.ndarray | None  # (N,)
    groups: np.ndarray | None  # (K,)
    group_names: tuple[str, ...]


def write_attention(
    path: Path, predictions: Sequence[tuple[Prediction | ClassPrediction, CohortInputs]]
) -> None:
    """Write the attention of predictions, each with its inputs, into one HDF5 file, atomically."""
    with atomic_path(path) as temporary, new_hdf5(temporary, track_order=True) as file:
        for prediction, inputs in predictions:
            genes = inputs.stores.get("omics")
            names = genes.groups.tolist() if isinstance(genes, OmicsMatrix) else []
            bags = bags_of(inputs.stores.get("slides"))
            nothing = [np.zeros(0)] * len(prediction.patient_ids)
            slides = prediction.attention.get("slides", nothing)
            groups = prediction.attention.get("groups", nothing)
            for row, patient_id in enumerate(prediction.patient_ids):
                group = file.create_group(patient_id)
                if len(slides[row]):
                    places = bags[patient_id].places()
                    assert len(places.coords) == len(slides[row]), "one weight per tile"
                    group["slides"] = slides[row].astype(np.float32)
                    group["slide_id"] = places.slide_id.astype(h5py.string_dtype())
                    group["coords"] = places.coords
                    group["tile_px0"] = places.tile_px0
                if len(groups[row]):
                    group["groups"] = groups[row].astype(np.float32)
                    group["groups"].attrs["names"] = json.dumps(names)


def read_attention(path: Path, patient_id: str) -> PatientAttention | None:
    """Attention of one patient, or None if the file does not know the patient."""
    with open_hdf5(path) as file:
        if patient_id not in file:
            return None
        group = file[patient_id]
        slides = {
            name: group[name][:] if name in group else None
            for name in ("slides", "coords", "tile_px0", "groups")
        }
        slide_id = group["slide_id"].asstr()[:] if "slide_id" in group else None
        names = json.loads(group["groups"].attrs["names"]) if "groups" in group else []
    return PatientAttention(slide_id=slide_id, group_names=tuple(names), **slides)
