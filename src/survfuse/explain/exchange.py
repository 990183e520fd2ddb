"""Exchanging a modality between patients, by which its effect on their estimates is measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 5  # other patients whose modality is put in place of the own


def cyclic_permutation(
    present: np.ndarray, seed: Sequence[int], modality: str
) -> tuple[np.ndarray, np.ndarray]:
    """The patients who have a modality, and for each another one: a random cyclic permutation."""
    generator = np.random.default_rng([*seed, *modality.encode()])
    order = generator.permutation(present)
    return order, np.roll(order, 1)
