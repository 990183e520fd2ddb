"""The stored attention of a patient, as far as it belongs to what is stored beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse.modalities.omics.modality import Omics
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.slides.modality import Slides
from survfuse.reporting.inputs import ReportData
from survfuse.reporting.wording import plural
from survfuse.training import attention
from survfuse.training.attention import StoredAttention

TILES, GROUPS = (MODALITIES[one.name].attention for one in (Slides, Omics))


@dataclass(frozen=True)
class Attention:
    """The attention of a model in one patient; None where it returns none."""

    tiles: pd.DataFrame | None  # slide_id, x_px0, y_px0, side_px0 (0: unknown), share (sums to 1)
    groups: pd.Series | None  # gene group -> share (sums to 1)
    remarks: tuple[str, ...] = ()  # why there is no map of what is stored


def read_attention(data: ReportData, model: str, patient_id: str) -> Attention:
    """Attention of one patient; both parts None when the model wrote none."""
    path = data.inputs.predictions.attention(model)
    found = attention.read_attention(path, patient_id) if path.is_file() else None
    if found is None:
        return Attention(None, None)
    tiles, groups = found.get(TILES), found.get(GROUPS)
    if tiles is not None and "coords" not in tiles.columns:
        tiles = None
    faults = (
        None if tiles is None else tile_fault(tiles),
        None if groups is None else group_fault(groups),
    )
    return Attention(
        None if tiles is None or faults[0] else tiles_of(tiles),
        None if groups is None or faults[1] else groups_of(groups),
        tuple(fault for fault in faults if fault),
    )


def tiles_of(found: StoredAttention) -> pd.DataFrame:
    """The weights with the tiles they belong to."""
    return pd.DataFrame(
        {
            "slide_id": found.columns["slide_id"],
            "x_px0": found.columns["coords"][:, 0],
            "y_px0": found.columns["coords"][:, 1],
            "side_px0": found.columns["tile_px0"],
            "share": found.weights.astype(float),
        }
    )


def groups_of(found: StoredAttention) -> pd.Series:
    """The weights with the names of the gene groups."""
    return pd.Series(found.weights.astype(float), index=list(found.names))


def tile_fault(found: StoredAttention) -> str | None:
    """Why the weights of tiles cannot be mapped; None where they can."""
    beside = [found.columns.get(name) for name in Slides.beside_attention]
    if any(column is None or len(column) != len(found.weights) for column in beside):
        stored = plural(len(found.weights), "weight")
        return (
            f"No map of attention: the model of this patient’s fold gave {stored} for "
            f"{plural(len(found.columns['coords']), 'tile')}, as one does that was fitted without "
            "slides."
        )
    return None if usable(found.weights) else "No map of attention: its weights are not numbers."


def group_fault(found: StoredAttention) -> str | None:
    """Why the weights of gene groups cannot be shown; None where they can."""
    if len(found.weights) != len(found.names):
        return (
            "No attention to gene groups: the model of this patient’s fold gave "
            f"{plural(len(found.weights), 'weight')} for {plural(len(found.names), 'group')}."
        )
    return None if usable(found.weights) else "No attention to gene groups: no weight is a number."


def usable(weights: np.ndarray) -> bool:
    """Whether weights are numbers of which any is above 0."""
    return bool(np.isfinite(weights).all() and weights.sum() > 0)
