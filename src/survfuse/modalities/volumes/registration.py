"""Registration by mutual information: PET to MRI (rigid), and MRI to a template (affine).

Mattes et al., IEEE Trans Med Imaging 2003;22:120, as SimpleITK has it: multi-resolution, regular
samples with a fixed seed, one thread, so that the same volumes give the same transform.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from survfuse.core.brought_files import require_regular
from survfuse.modalities.volumes.faults import BadRegistration
from survfuse.modalities.volumes.grid import covering_grid, middle_of, resampled, resampled_mask
from survfuse.modalities.volumes.volume import (
    LPS_FROM_RAS,
    Affine,
    Mask,
    Volume,
    one_thread,
    to_image,
)

if TYPE_CHECKING:  # importing it takes a while
    import SimpleITK as sitk

WORKING_MM = 2.0
SHRINK, SMOOTHING_MM = (4, 2, 1), (4.0, 2.0, 0.0)  # per level; 8, 4 and 2 mm
TURNED_DEGREES = 30.0  # of the starts beside the upright one, each way about each axis
WORSE = 0.99  # of the similarity at the start; a result below it is none
BINS = 32
STEPS = 100  # per level
SEED = 1
MATRIX_CHARACTERS = 10_000  # of a file with a transform that are read
SCALES = (0.5, 2.0)  # singular values that an affine between two heads can have


@dataclass(frozen=True)
class Levels:
    """How an optimisation goes from coarse to fine.

    `sampled`: share of the voxels at each level. `longest_step`: mm of a shift, but radians of a
    turn once shifts have settled; at the end it must be small, or one step leaves the right place
    for good.
    """

    shrink: tuple[int, ...]
    smoothing_mm: tuple[float, ...]
    sampled: tuple[float, ...]
    longest_step: float


FINE = Levels(SHRINK, SMOOTHING_MM, (0.5, 0.25, 0.1), 0.1)
COARSE = Levels((1,), (0.0,), (1.0,), 0.5)  # of a copy that is coarse already


@dataclass(frozen=True)
class Registration:
    """`moving_from_fixed` (4, 4): world mm of the fixed volume to world mm of the moving one.

    `before` and `after`: mutual information in nats, at the start and at the end.
    """

    moving_from_fixed: Affine
    before: float
    after: float


def register(
    moving: Volume, moving_mask: Mask, fixed: Volume, fixed_mask: Mask, affine: bool
) -> Registration:
    """Lay `moving` over `fixed`, starting with the middles of the masks upon each other.

    Heads are scanned turned, so that several turned starts are tried on a coarse copy, of which the
    most similar goes on. Both volumes are cut out by their masks first, so that scalp, jaw and beds
    of scanners do not pull.
    Raises BadRegistration where the volumes do not overlap, the result is less similar than the
    start, or an affine is not one of a head.
    """
    import SimpleITK as sitk

    one_thread()
    target, inside = working(fixed, fixed_mask)
    source, _ = working(moving, moving_mask)
    centre = (LPS_FROM_RAS[:3, :3] @ middle_of(fixed_mask, fixed.affine)).tolist()
    shift = middle_of(moving_mask, moving.affine) - middle_of(fixed_mask, fixed.affine)
    upright = sitk.Euler3DTransform()
    upright.SetCenter(centre)
    upright.SetTranslation((LPS_FROM_RAS[:3, :3] @ shift).tolist())
    try:
        before = similarity(target, source, inside, upright)
        start = best_start(target, source, inside, upright)
        optimised(target, source, inside, start)
        found: sitk.Transform = start
        if not affine:  # far turns are reached by the second pass only, in steps grown anew
            optimised(target, source, inside, start)
        else:
            found = sitk.AffineTransform(3)
            found.SetCenter(centre)
            found.SetMatrix(start.GetMatrix())
            found.SetTranslation(start.GetTranslation())
            optimised(target, source, inside, found)
        after = similarity(target, source, inside, found)
    except RuntimeError:  # of SimpleITK: the samples map outside
        raise BadRegistration(
            "the volumes do not overlap enough to be registered; look at the picture, or give the "
            "transform in the column registration"
        ) from None
    if after < WORSE * before:
        raise BadRegistration(
            "the volumes are less similar after registration than before it; look at the picture, "
            "then name a mask, or give the transform in the column registration"
        )
    matrix = matrix_of(found)
    check_scales(matrix)
    return Registration(matrix, before, after)


def best_start(
    target: sitk.Image, source: sitk.Image, inside: sitk.Image, upright: sitk.Euler3DTransform
) -> sitk.Euler3DTransform:
    """Of the upright start and its turned ones, each improved on a coarse copy, the best."""
    import SimpleITK as sitk

    coarse, coarse_source = (smoothed_and_shrunk(image) for image in (target, source))
    within = sitk.Resample(inside, coarse, sitk.Transform(), sitk.sitkNearestNeighbor)
    angle = np.deg2rad(TURNED_DEGREES)
    best, best_similarity = upright, -np.inf
    for turn in (np.zeros(3), *(sign * angle * axis for axis in np.eye(3) for sign in (1, -1))):
        start = sitk.Euler3DTransform(upright)
        start.SetRotation(*turn.tolist())
        try:
            optimised(coarse, coarse_source, within, start, COARSE)
            found = similarity(coarse, coarse_source, within, start)
        except RuntimeError:  # turned out of the volume
            continue
        if found > best_similarity:
            best, best_similarity = start, found
    return best


def smoothed_and_shrunk(image: sitk.Image) -> sitk.Image:
    """The copy of an image on which starts are compared, as the coarsest level has it."""
    import SimpleITK as sitk

    return sitk.Shrink(sitk.DiscreteGaussian(image, [SMOOTHING_MM[0] ** 2] * 3), [SHRINK[0]] * 3)


def working(volume: Volume, mask: Mask) -> tuple[sitk.Image, sitk.Image]:
    """The masked volume on 2 mm cubes, scaled to 0..1, and its mask, as images."""
    import SimpleITK as sitk

    grid = covering_grid(volume.grid, (WORKING_MM,) * 3, upright=True)
    low, high = np.percentile(volume.data[mask], [0.5, 99.5])
    data = np.clip((volume.data - low) / max(high - low, 1e-12), 0, 1)
    small = resampled(replace(volume, data=np.where(mask, data, 0).astype(np.float32)), grid)
    cut = resampled_mask(mask, volume.grid, grid)
    image = to_image(small)
    around = sitk.GetImageFromArray(cut.T.astype(np.uint8))
    around.CopyInformation(image)
    return image, sitk.BinaryDilate(around, [3, 3, 3])


def optimised(
    target: sitk.Image,
    source: sitk.Image,
    inside: sitk.Image,
    transform: sitk.Transform,
    levels: Levels = FINE,
) -> None:
    """Improve a transform in place until its mutual information no longer grows."""
    method = metric(inside)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentagePerLevel(list(levels.sampled), SEED)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=levels.longest_step,
        minStep=1e-3,
        numberOfIterations=STEPS,
        relaxationFactor=0.6,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(levels.shrink))
    method.SetSmoothingSigmasPerLevel(list(levels.smoothing_mm))
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(target, source)


def similarity(
    target: sitk.Image, source: sitk.Image, inside: sitk.Image, transform: sitk.Transform
) -> float:
    """Mutual information (nats) of two images under a transform, over all of the mask."""
    method = metric(inside)
    method.SetInitialTransform(transform, inPlace=False)
    return -float(method.MetricEvaluate(target, source))


def metric(inside: sitk.Image) -> sitk.ImageRegistrationMethod:
    """A registration method with the metric chosen."""
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(inside)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def matrix_of(transform: sitk.Transform) -> Affine:
    """A linear transform of SimpleITK as a matrix (4, 4) between RAS coordinates."""
    origin = np.asarray(transform.TransformPoint((0.0, 0.0, 0.0)))
    units = [transform.TransformPoint(tuple(row)) for row in np.eye(3).tolist()]
    lps = np.eye(4)
    lps[:3, :3] = np.stack([np.asarray(unit) - origin for unit in units], axis=1)
    lps[:3, 3] = origin
    return LPS_FROM_RAS @ lps @ LPS_FROM_RAS


def check_scales(matrix: Affine) -> None:
    """Raise BadRegistration unless a matrix may take one head to another."""
    low, high = SCALES
    linear = matrix[:3, :3]
    sizes = np.linalg.svd(linear, compute_uv=False) if np.isfinite(matrix).all() else np.zeros(3)
    if not (low <= sizes.min() and sizes.max() <= high) or np.linalg.det(linear) <= 0:
        raise BadRegistration(
            "the transform stretches, flattens or mirrors the head beyond what is possible; check "
            "the mask and the orientation of the volume, or give another transform"
        )


def read_matrix(path: Path) -> Affine:
    """A transform made elsewhere: four rows of four numbers, world mm (RAS) of the volume to
    world mm (RAS) of the template.

    Raises BadRegistration for anything else.
    """
    try:
        require_regular(path)
        with path.open(encoding="utf-8") as stored:
            lines = stored.read(MATRIX_CHARACTERS).splitlines()
        rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
        matrix = np.array(rows, dtype=np.float64)
    except (OSError, ValueError):  # the latter also where it is no text
        matrix = np.empty(0)
    if matrix.shape != (4, 4) or not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise BadRegistration(
            "the transform given must be a text file of four rows of four numbers, the last one "
            "0 0 0 1, from world mm of the volume to world mm of the template (RAS)"
        )
    check_scales(matrix)
    return matrix
