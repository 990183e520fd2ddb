"""What is fitted on the training patients of a fold before any model is, and applied to all.

No torch here: rows of a leaderboard that are no networks start without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.config.study import Config
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.protocol import Scaling


@dataclass(frozen=True)
class Scalers:
    """The scaling of every modality that training patients have, by its name."""

    fitted: Mapping[str, Scaling]

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint, `MODALITY.NAME`."""
        return {
            f"{name}.{key}": values
            for name, scaling in self.fitted.items()
            for key, values in scaling.arrays().items()
        }

    def to_json(self) -> dict[str, Any]:
        """What the checkpoint needs besides the arrays, by modality."""
        told = {name: scaling.to_json() for name, scaling in self.fitted.items()}
        return {name: content for name, content in told.items() if content is not None}

    @staticmethod
    def from_stored(
        arrays: Mapping[str, np.ndarray], described: Mapping[str, Any], modalities: Sequence[str]
    ) -> Scalers:
        """The inverse of `arrays` and `to_json`, of the modalities that the model reads."""
        fitted = {}
        for name in modalities:
            own = {
                key.removeprefix(f"{name}."): values
                for key, values in arrays.items()
                if key.startswith(f"{name}.")
            }
            scaling = modality(name).restore(own, described.get(name))
            if scaling is not None:
                fitted[name] = scaling
        return Scalers(fitted)

    def available(
        self, inputs: CohortInputs, patient_ids: Sequence[str], modalities: Sequence[str]
    ) -> np.ndarray:
        """(n, M) bool: who has a modality that training patients had too."""
        available = np.zeros((len(patient_ids), len(modalities)), dtype=bool)
        for column, name in enumerate(modalities):
            if name in self.fitted:
                available[:, column] = inputs.available(name, patient_ids)
        return available


def fit_scalers(
    inputs: CohortInputs, train_ids: Sequence[str], modalities: Sequence[str], config: Config
) -> Scalers:
    """Fit the scalers of the modalities a model reads, on training patients alone."""
    fitted = {}
    for name in modalities:
        if name not in inputs.stores:
            continue
        scaling = modality(name).fit(inputs.stores[name], train_ids, config)
        if scaling is not None:
            fitted[name] = scaling
    return Scalers(fitted)
