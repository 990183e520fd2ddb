"""What a study has of its patients, of all modalities, joined by patient id."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from survfuse.modalities.protocol import Store
from survfuse.modalities.registry import MODALITIES, SITE

SYNTHETIC = "synthetic_"  # before the name of the modality that it stands in for


@dataclass(frozen=True)
class CohortInputs:
    """The inputs of all patients. Nothing here knows an outcome.

    patients: the clinical table, raw text, indexed by patient id, with the site where it is known.
    stores: by modality; those that the study lacks are not among them. synthetic: what was
    synthesised, by the modality that it stands in for; it counts only where that is absent and
    what it was made from is not.
    """

    patients: pd.DataFrame
    stores: Mapping[str, Store]
    synthetic: Mapping[str, Store] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*self.stores, *self.synthetic):
            if name not in MODALITIES:
                raise ValueError(f"there is no modality {name!r}")

    def only(self, patient_ids: Collection[str]) -> CohortInputs:
        """The same inputs, without what is large of other patients."""
        return replace(
            self,
            stores={name: store.only(patient_ids) for name, store in self.stores.items()},
            synthetic={name: store.only(patient_ids) for name, store in self.synthetic.items()},
        )

    def without(self, withheld: Mapping[str, Collection[str]]) -> CohortInputs:
        """The inputs as if `withheld[modality]` patients did not have that modality.

        What was synthesised in its place stays, unless withheld under its own name.
        """
        return replace(
            self,
            stores={
                name: store.without(withheld[name]) if withheld.get(name) else store
                for name, store in self.stores.items()
            },
            synthetic={
                name: store.without(gone) if (gone := withheld.get(SYNTHETIC + name)) else store
                for name, store in self.synthetic.items()
            },
        )

    def available(self, modality: str, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: which patients have a modality, or something synthesised in its place.

        The latter by the name that begins with `SYNTHETIC`. Raises ValueError for a name that is
        none.
        """
        name = modality.removeprefix(SYNTHETIC)
        if name not in MODALITIES:
            raise ValueError(f"there is no modality {modality!r}")
        if name == modality:
            return available_in(self.stores, name, patient_ids)
        source = MODALITIES[name].made_from
        made = available_in(self.synthetic, name, patient_ids)
        needed = available_in(self.stores, source, patient_ids)
        real: np.ndarray = made & needed & ~available_in(self.stores, name, patient_ids)
        return real

    def has(self, read: str, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: which patients have a modality, or a known site."""
        if read != SITE:
            return self.available(read, patient_ids)
        sites = self.patients.get(SITE)
        if sites is None:
            return np.zeros(len(patient_ids), dtype=bool)
        return np.asarray(sites.loc[list(patient_ids)] != "", dtype=bool)


def available_in(
    stores: Mapping[str, Store], modality: str, patient_ids: Sequence[str]
) -> np.ndarray:
    """(n,) bool: who has a modality; nobody where there is no store of it."""
    if modality not in stores:
        return np.zeros(len(patient_ids), dtype=bool)
    return stores[modality].available(patient_ids)
