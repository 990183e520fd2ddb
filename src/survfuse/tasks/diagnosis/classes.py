"""Classes of patients as numbers: 0 to K - 1, and UNKNOWN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1


def conversion_label(
    time_months: NDArray[np.float64], event: NDArray[np.bool_], horizon_months: float
) -> NDArray[np.int64]:
    """1 with the event by the horizon, 0 followed to it without, UNKNOWN if censored before."""
    converted = event & (time_months <= horizon_months)
    stable = ~converted & (time_months >= horizon_months)
    return np.where(converted, 1, np.where(stable, 0, UNKNOWN))
