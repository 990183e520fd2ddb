"""The file of attention weights per patient, for reports.

Layout: `/<patient_id>/slides` (N,) weights that sum to 1, with `slide_id`, `coords` (level-0
pixels) and `tile_px0` beside it; `/<patient_id>/groups` (K,) weights of the gene groups, their
names in the attribute `names`. A dataset that a model does not provide is absent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from survfuse.files import atomic_path
from survfuse.training.inputs import CohortInputs
from survfuse.training.prediction import ClassPrediction, Prediction


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
    with atomic_path(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        for prediction, inputs in predictions:
            names = inputs.omics.groups.tolist() if inputs.omics is not None else []
            present = set(inputs.omics.patient_ids.tolist()) if inputs.omics is not None else set()
            for row, patient_id in enumerate(prediction.patient_ids):
                group = file.create_group(patient_id)
                bag = inputs.bags.get(patient_id)
                if "slides" in prediction.attention and bag is not None:
                    group["slides"] = prediction.attention["slides"][row].astype(np.float32)
                    group["slide_id"] = bag.slide_id.astype(h5py.string_dtype())
                    group["coords"] = bag.coords
                    group["tile_px0"] = bag.tile_px0
                if "groups" not in prediction.attention or patient_id not in present:
                    continue
                groups = prediction.attention["groups"][row]
                # A model without genes in training has a single group, of which it reads nothing.
                if len(groups) == len(names):
                    group["groups"] = groups.astype(np.float32)
                    group["groups"].attrs["names"] = json.dumps(names)


def read_attention(path: Path, patient_id: str) -> PatientAttention | None:
    """Attention of one patient, or None if the file does not know the patient."""
    with h5py.File(path, "r") as file:
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
