"""The stored attention of a patient, as far as it belongs to what is stored beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse.reporting.inputs import ReportData
from survfuse.reporting.wording import plural
from survfuse.training import attention
from survfuse.training.attention import PatientAttention


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
    faults = [fault for fault in (tile_fault(found), group_fault(found)) if fault]
    return Attention(
        None if found.slides is None or tile_fault(found) else tiles_of(found),
        None if found.groups is None or group_fault(found) else groups_of(found),
        tuple(faults),
    )


def tiles_of(found: PatientAttention) -> pd.DataFrame | None:
    """The weights with the tiles they belong to; None where no places are stored."""
    if found.slides is None or found.coords is None:
        return None
    return pd.DataFrame(
        {
            "slide_id": found.slide_id,
            "x_px0": found.coords[:, 0],
            "y_px0": found.coords[:, 1],
            "side_px0": found.tile_px0,
            "share": found.slides.astype(float),
        }
    )


def groups_of(found: PatientAttention) -> pd.Series | None:
    """The weights with the names of the gene groups."""
    if found.groups is None:
        return None
    return pd.Series(found.groups.astype(float), index=list(found.group_names))


def tile_fault(found: PatientAttention) -> str | None:
    """Why the weights of tiles cannot be mapped; None where they can, or there are none."""
    if found.slides is None or found.coords is None:
        return None
    beside = (found.coords, found.slide_id, found.tile_px0)
    if any(column is None or len(column) != len(found.slides) for column in beside):
        stored = plural(len(found.slides), "weight")
        return (
            f"No map of attention: the model of this patient’s fold gave {stored} for "
            f"{plural(len(found.coords), 'tile')}, as one does that was fitted without slides."
        )
    return None if usable(found.slides) else "No map of attention: its weights are not numbers."


def group_fault(found: PatientAttention) -> str | None:
    """Why the weights of gene groups cannot be shown; None where they can, or there are none."""
    if found.groups is None:
        return None
    if len(found.groups) != len(found.group_names):
        return (
            "No attention to gene groups: the model of this patient’s fold gave "
            f"{plural(len(found.groups), 'weight')} for {plural(len(found.group_names), 'group')}."
        )
    return None if usable(found.groups) else "No attention to gene groups: no weight is a number."


def usable(weights: np.ndarray) -> bool:
    """Whether weights are numbers of which any is above 0."""
    return bool(np.isfinite(weights).all() and weights.sum() > 0)
