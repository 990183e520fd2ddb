"""Logarithms of counts and abundances, patient by patient: nothing is fitted across patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from survfuse.config.omics import OmicsConfig
from survfuse.modalities.omics.sheet import type_of_columns

PER_MILLION = 1e6
IN_WORDS = {"log2_plus_1": "log2(x + 1)", "log2_cpm": "log2(counts per million + 1)"}


def transformed(
    values: NDArray[np.float32], columns: Sequence[str], config: OmicsConfig
) -> NDArray[np.float32]:
    """Measurements (n, g) as `omics.transform` wants them, NaN where nothing was measured.

    No value to transform is negative (`check_transform` sees to that). Counts per million are
    those of the patient's total over all measured columns of the data type, of no gene set alone;
    a patient whose total is 0 keeps zeros.
    """
    kinds = np.array([kind or "" for kind in type_of_columns(columns, config.suffixes)])
    result = values
    for kind in config.suffixes:
        transform = config.transform_of(kind)
        if transform == "none":
            continue
        if result is values:
            result = values.copy()
        of_kind = np.flatnonzero(kinds == kind)
        for patient in range(len(values)):  # one at a time: large matrices fill the memory
            part = values[patient, of_kind].astype(np.float64)
            if transform == "log2_cpm" and (total := np.nansum(part)) > 0:
                part *= PER_MILLION / total
            result[patient, of_kind] = np.log2(part + 1)
    return result


def transforms_in_words(config: OmicsConfig) -> list[str]:
    """What was done to the values of which data type, for reports; empty where nothing was."""
    by_kind = ((kind, config.transform_of(kind)) for kind in config.suffixes)
    return [f"{IN_WORDS[transform]} ({kind})" for kind, transform in by_kind if transform != "none"]
