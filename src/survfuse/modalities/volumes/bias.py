"""Correction of the bias field (intensity non-uniformity) of MRI.

N4 of Tustison et al., IEEE Trans Med Imaging 2010;29:1310, as SimpleITK has it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from survfuse.modalities.volumes.faults import ConstantVolume
from survfuse.modalities.volumes.grid import covering_grid, resampled
from survfuse.modalities.volumes.volume import Mask, Volume, from_image, one_thread, to_image

FIELD_SPACING_MM = 4.0  # on which the field is estimated; it is smooth over centimetres
BRIGHT_PERCENTILE, BRIGHT = 98, 1000.0  # of the head, where the field is estimated
ITERATIONS = (25, 25, 15)  # at most, per resolution of the spline
CONVERGED = 1e-3  # change of the field
LARGEST_CORRECTION = 20.0  # factor; more is no bias field but division by air


def corrected(volume: Volume) -> Volume:
    """The volume divided by its bias field, estimated on a coarse copy within the head."""
    import SimpleITK as sitk

    one_thread()
    grid = covering_grid(volume.grid, (FIELD_SPACING_MM,) * 3, upright=False)
    small = resampled(volume, grid, fill=float(volume.data.min()))
    inside = foreground(small)
    mask = sitk.GetImageFromArray(inside.T.astype(np.uint8))
    # The logarithm needs positive values and must not depend on their unit.
    rise = small.data.astype(np.float64) - small.data.min()
    bright = np.percentile(rise[inside], BRIGHT_PERCENTILE)
    positive = replace(small, data=(rise * (BRIGHT / bright) + 1).astype(np.float32))
    image = to_image(positive)
    mask.CopyInformation(image)
    filter_ = sitk.N4BiasFieldCorrectionImageFilter()
    filter_.SetMaximumNumberOfIterations(list(ITERATIONS))
    filter_.SetConvergenceThreshold(CONVERGED)
    filter_.Execute(image, mask)
    log_field = from_image(filter_.GetLogBiasFieldAsImage(image))
    field = resampled(log_field, volume.grid).data
    field = field - np.float32(np.mean(log_field.data[inside]))
    limit = np.float32(np.log(LARGEST_CORRECTION))
    low = volume.data.min()
    data = (volume.data - low) * np.exp(-np.clip(field, -limit, limit)) + low
    return replace(volume, data=data.astype(np.float32))


def foreground(volume: Volume) -> Mask:
    """Head or brain against air: the largest piece above a tenth from dark to bright, filled.

    Raises ConstantVolume where nothing is, because nearly all voxels are of the highest value.
    """
    dark, bright = np.percentile(volume.data, [2, 98])
    labels, count = ndimage.label(volume.data > dark + 0.1 * (bright - dark))
    if not count:
        raise ConstantVolume(
            "nearly all voxels have the highest value, so nothing tells a head from air; export "
            "the volume again"
        )
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        labels = labels == sizes.argmax()
    return np.asarray(ndimage.binary_fill_holes(labels > 0))
