"""What the tiles of a patient count for in a stack, which reads their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import MODALITIES
from survfuse.models.stacking.blocks import BlockFeatures


def attention_of(
    features: BlockFeatures,
    slopes: Sequence[np.ndarray],
    inputs: CohortInputs,
    patient_ids: Sequence[str],
) -> dict[str, list[np.ndarray]]:
    """Of blocks that are a mean, the share of each part in the sum of the parts' absolute effects.

    slopes: (n, p, Q) of each block, of Q linear predictors by its columns; absolute effects are
    summed over them. By what attention to the modality is called; (N,) of each patient, none where
    it is absent.
    """
    shares: dict[str, list[np.ndarray]] = {}
    place_of = {block.name: place for place, block in enumerate(features.blocks)}
    for name in features.modalities:
        called, store = MODALITIES[name].attention, inputs.stores.get(name)
        scaling = features.scalers.fitted[name]
        for row, patient in enumerate(patient_ids):
            found = modality(name).averaged(store, scaling, patient)
            if found is None or found[0] not in place_of:  # a block that does not vary is none
                continue
            place = place_of[found[0]]
            block = features.blocks[place]
            parts = (found[1][:, block.kept] - block.mean) / block.std
            effect = np.abs(parts @ slopes[place][row]).sum(axis=1)
            own = shares.setdefault(called, [np.empty(0)] * len(patient_ids))
            total = effect.sum()
            own[row] = effect / total if total > 0 else np.full(len(effect), 1 / len(effect))
    return shares
