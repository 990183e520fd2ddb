"""Modalities whose store is one object for each patient who has any."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

import numpy as np

Item = TypeVar("Item")


@dataclass(frozen=True)
class ByPatient(Generic[Item]):
    """What each patient has, by patient id; those who have nothing are not among them."""

    items: Mapping[str, Item]

    def available(self, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: who has any."""
        return np.array([patient in self.items for patient in patient_ids], dtype=bool)

    def only(self, patient_ids: Collection[str]) -> Self:
        """What some patients have."""
        return replace(self, items={p: one for p, one in self.items.items() if p in patient_ids})

    def without(self, patient_ids: Collection[str]) -> Self:
        """What all other patients have."""
        gone = set(patient_ids)
        return replace(self, items={p: one for p, one in self.items.items() if p not in gone})
