"""Bringing intensities to one scale, within the brain."""

from __future__ import annotations

import numpy as np

from survfuse.modalities.volumes.faults import ConstantVolume
from survfuse.modalities.volumes.volume import Array, Mask

BACKGROUND = -1.0  # outside the brain, exactly


def by_percentiles(
    data: Array, inside: Mask, percentiles: tuple[float, float]
) -> tuple[Array, tuple[float, float]]:
    """Values scaled so that two percentiles of the brain become -1 and 1, clipped there.

    Returns them with the two original values. Raises ConstantVolume if those are the same.
    """
    low, high = (float(value) for value in np.percentile(data[inside], percentiles))
    if not low < high:
        raise ConstantVolume("all of the brain has the same value; export the volume again")
    scaled = np.clip((data - low) * (2 / (high - low)) - 1, -1, 1)
    return scaled.astype(np.float32), (low, high)


def by_reference(
    data: Array, reference: Mask, suvr_range: tuple[float, float]
) -> tuple[Array, float]:
    """PET over its mean in a reference region (SUVR), the range given becoming -1 to 1, clipped.

    Returns it with that mean. Raises ConstantVolume where the region is empty or takes up nothing.
    """
    mean = float(data[reference].mean()) if reference.any() else 0.0
    if mean <= 0:
        raise ConstantVolume(
            "the reference region is empty or has no uptake; check that its mask lies in the space "
            "of the volume, or leave the column reference empty"
        )
    low, high = suvr_range
    scaled = np.clip((data / mean - low) * (2 / (high - low)) - 1, -1, 1)
    return scaled.astype(np.float32), mean
