"""How far a made volume is from the real one, within the brain and over the whole volume.

Volumes are in -1..1, so that the range in PSNR is 2. SSIM is computed on 0..1, range 1: its term of
luminance compares means as shares of one another, and breaks where they change sign. Whole-volume
figures count the background, which everything here gets right, and are flattered by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

RANGE = 2.0
SSIM_RANGE = 1.0
WINDOW_VOXELS = 1.5  # sigma of SSIM's window, cut off at 5 voxels (Wang et al. 2004)
LUMINANCE, CONTRAST = (0.01 * SSIM_RANGE) ** 2, (0.03 * SSIM_RANGE) ** 2
BLOCKS = 6  # coarse blocks along the longest axis
LEAST_BRAIN = 0.25  # share of a block that must be brain for it to count
NAMES = (
    *("masked_mae", "masked_psnr", "masked_ssim", "whole_mae", "whole_psnr", "whole_ssim"),
    *("regional_mae", "regional_correlation", "departure_correlation"),
)


def measures(
    made: Volume, real: Volume, mask: Mask, usual: Volume | None = None
) -> dict[str, float | None]:
    """All figures of NAMES for one patient; volumes and mask (I, J, K), mask of the real brain.

    `regional_*` compare means over coarse blocks. `departure_correlation` does so after the means
    of `usual`, the training mean, are taken away from both: whether it is known how this patient
    differs from others, which a high `regional_correlation` does not show. None where a figure is
    not defined: a correlation with a constant, PSNR of equal volumes (infinite).
    """
    similarity = ssim_map(made, real)
    here, there = block_means(made, mask), block_means(real, mask)
    figures: dict[str, float | None] = {
        "masked_mae": mean_absolute(made[mask], real[mask]),
        "masked_psnr": finite(psnr(made[mask], real[mask])),
        "masked_ssim": float(similarity[mask].mean()),
        "whole_mae": mean_absolute(made, real),
        "whole_psnr": finite(psnr(made, real)),
        "whole_ssim": float(similarity.mean()),
        "regional_mae": mean_absolute(here, there),
        "regional_correlation": correlation(here, there),
        "departure_correlation": None,
    }
    if usual is not None:
        expected = block_means(usual, mask)
        figures["departure_correlation"] = correlation(here - expected, there - expected)
    return figures


def mean_absolute(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Mean absolute difference."""
    return float(np.abs(a.astype(np.float64) - b).mean())


def psnr(a: NDArray[np.floating], b: NDArray[np.floating], value_range: float = RANGE) -> float:
    """Peak signal-to-noise ratio in decibels; infinite for equal volumes."""
    error = float(np.square(a.astype(np.float64) - b).mean())
    return math.inf if error == 0 else 10 * math.log10(value_range**2 / error)


def ssim_map(a: Volume, b: Volume) -> NDArray[np.float64]:
    """Structural similarity at every voxel, in a Gaussian window (Wang et al. 2004, eq. 13).

    Volumes in -1..1 are brought to 0..1 first, where background is 0.
    """

    def smooth(volume: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(volume, WINDOW_VOXELS, truncate=3.5))

    x, y = ((volume.astype(np.float64) + 1) / RANGE for volume in (a, b))
    mean_x, mean_y = smooth(x), smooth(y)
    var_x, var_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    both = smooth(x * y) - mean_x * mean_y
    return np.asarray(
        (2 * mean_x * mean_y + LUMINANCE)
        * (2 * both + CONTRAST)
        / ((mean_x**2 + mean_y**2 + LUMINANCE) * (var_x + var_y + CONTRAST))
    )


def block_means(volume: Volume, mask: Mask) -> NDArray[np.float64]:
    """Means over the brain of cubes of a sixth of the longest axis, where enough is brain."""
    side = max(1, -(-max(mask.shape) // BLOCKS))
    number = np.zeros(mask.shape, dtype=np.int64)
    for axis, length in enumerate(mask.shape):
        blocks = -(-length // side)
        shape = [1, 1, 1]
        shape[axis] = length
        number = number * blocks + (np.arange(length) // side).reshape(shape)
    count = np.bincount(number[mask], minlength=int(number.max()) + 1)
    total = np.bincount(number[mask], weights=volume[mask].astype(np.float64), minlength=len(count))
    kept = count >= LEAST_BRAIN * side**3
    return np.asarray(total[kept] / count[kept])


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Pearson's correlation; None where one of the two does not vary, or there are too few."""
    if len(a) < 3 or np.ptp(a) < 1e-9 or np.ptp(b) < 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def finite(value: float) -> float | None:
    """The value, or None for infinity, which JSON cannot say."""
    return value if math.isfinite(value) else None


def summary(figures: Sequence[dict[str, float | None]]) -> dict[str, dict[str, float | int | None]]:
    """Mean and standard deviation over patients of every figure, and how many define it."""
    summaries: dict[str, dict[str, float | int | None]] = {}
    for name in NAMES:
        values = [value for row in figures if (value := row[name]) is not None]
        summaries[name] = {
            "mean": round(float(np.mean(values)), 6) if values else None,
            "sd": round(float(np.std(values, ddof=1)), 6) if len(values) > 1 else None,
            "n": len(values),
        }
    return summaries
