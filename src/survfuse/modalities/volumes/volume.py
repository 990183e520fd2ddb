"""A volume in memory: numbers and where they lie in the patient, in world millimetres.

World coordinates are RAS: x to the patient's right, y to the front, z to the top. SimpleITK uses
LPS (x and y the other way round); only this module and `registration` convert between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from survfuse.modalities.volumes.faults import (
    ConstantVolume,
    ImplausibleVoxels,
    NotFinite,
    WrongDimension,
)

if TYPE_CHECKING:  # importing it takes a while, which a batch without work need not spend
    import SimpleITK as sitk

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Affine = NDArray[np.float64]  # (4, 4), voxel index to world mm, or world mm to world mm

SPACING_MM = (0.2, 10.0)  # of a voxel along any axis
FIELD_MM = (60.0, 700.0)  # extent of the volume along any axis
MOST_VOXELS = 200_000_000  # a head of 0.4 mm voxels; more takes above 10 GB to prepare
MOST_BYTES = 4 << 30  # that a compressed file may unpack to, or a folder of slices hold
LEAST_SLICES = 8
MAX_SHEAR = 0.01  # cosine between two axes, which should be 0
LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
ROUNDED = 6  # decimals of a millimetre that are kept when axes are turned


@dataclass(frozen=True)
class Volume:
    """`data` (I, J, K) float32 and `affine` from voxel index to RAS mm; values never change."""

    data: Array
    affine: Affine
    unit: str = ""  # SUV or Bq/ml for PET where it is known
    note: str = ""  # what the reader should know

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along the three axes of the array."""
        return spacing_of(self.affine)

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        shape = self.data.shape
        return Grid(self.affine, (shape[0], shape[1], shape[2]))


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a volume lie: `affine` (4, 4) to RAS mm and `shape`."""

    affine: Affine
    shape: tuple[int, int, int]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along the three axes."""
        return spacing_of(self.affine)

    @property
    def centre_mm(self) -> NDArray[np.float64]:
        """World coordinates of the middle of the grid."""
        middle = (np.asarray(self.shape) - 1) / 2
        return self.affine[:3, :3] @ middle + self.affine[:3, 3]


def corners_of(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Voxel indices of the eight corners (3, 8) of a volume."""
    x, y, z = (np.array([0.0, side - 1.0]) for side in shape[:3])
    return np.array(np.meshgrid(x, y, z)).reshape(3, -1)


def inverse(affine: Affine) -> Affine:
    """The way back."""
    return np.asarray(np.linalg.inv(affine), dtype=np.float64)


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Lengths of the columns of an affine, mm."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0)
    return float(x), float(y), float(z)


def new_volume(data: NDArray[Any], affine: NDArray[Any], unit: str = "", note: str = "") -> Volume:
    """A volume from any array; trailing axes of length 1 are dropped.

    Raises WrongDimension if what remains is not three-dimensional.
    """
    data = data.reshape(three_sides(data.shape))
    # Numbers beyond the range of 32 bits become infinite here, which the checks then report.
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.ascontiguousarray(data, dtype=np.float32)
    return Volume(numbers, np.asarray(affine, dtype=np.float64), unit, note)


def three_sides(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A shape without trailing sides of length 1. Raises WrongDimension unless three are left."""
    sides = shape
    while len(sides) > 3 and sides[-1] == 1:
        sides = sides[:-1]
    if len(sides) != 3:
        raise WrongDimension(
            f"the volume has {len(sides)} axes ({' x '.join(map(str, sides))}), needed are 3; "
            "average the frames of a dynamic scan, or name one volume of it"
        )
    return sides[0], sides[1], sides[2]


def check_geometry(shape: tuple[int, ...], affine: Affine) -> None:
    """Raise WrongDimension or ImplausibleVoxels unless a brain scan can have this geometry."""
    if min(shape) < LEAST_SLICES or float(np.prod(np.asarray(shape, float))) > MOST_VOXELS:
        raise WrongDimension(
            f"the volume has {' x '.join(map(str, shape))} voxels; needed are at least "
            f"{LEAST_SLICES} along each axis and at most {MOST_VOXELS:,} altogether"
        )
    low, high = SPACING_MM
    spacing = spacing_of(affine)
    told = " x ".join(f"{side:.4g}" for side in spacing)
    if not all(low <= side <= high for side in spacing):  # also refuses NaN
        raise ImplausibleVoxels(
            f"voxels of {told} mm are outside the plausible {low:g} to {high:g} mm; correct the "
            "header (spacing in mm), or leave the volume out"
        )
    field = [side * count for side, count in zip(spacing, shape, strict=True)]
    if not all(FIELD_MM[0] <= extent <= FIELD_MM[1] for extent in field):
        extents = " x ".join(f"{extent:.0f}" for extent in field)
        raise ImplausibleVoxels(
            f"a field of view of {extents} mm cannot hold a head; correct the spacing in the "
            "header, or leave the volume out"
        )
    axes = affine[:3, :3] / spacing
    shear = np.abs(axes.T @ axes - np.eye(3)).max()
    if shear > MAX_SHEAR or not np.isfinite(affine).all():
        raise ImplausibleVoxels(
            "the axes of the volume are not at right angles (a tilted gantry, or a damaged "
            "header); resample it to right angles first"
        )


def checked(volume: Volume, max_nonfinite: float) -> Volume:
    """The volume if it can be used, voxels that are not finite set to its lowest value.

    Raises WrongDimension, ImplausibleVoxels, NotFinite (more than the share `max_nonfinite` of
    the voxels) or ConstantVolume.
    """
    check_geometry(volume.data.shape, volume.affine)
    finite = np.isfinite(volume.data)
    bad = int(finite.size - finite.sum())
    if bad > max_nonfinite * finite.size or bad == finite.size:
        raise NotFinite(
            f"{bad} of {finite.size} voxels are infinite or not a number; write the volume again, "
            "or allow a share of them by imaging.max_nonfinite"
        )
    low = float(volume.data[finite].min())
    if low == float(volume.data[finite].max()):
        raise ConstantVolume(f"all voxels are {low:g}; export the volume again")
    if not bad:
        return volume
    said = f"{bad} voxels were not finite and became background"
    filled = np.where(finite, volume.data, np.float32(low))
    return replace(volume, data=filled, note="; ".join(filter(None, [volume.note, said])))


def to_ras(volume: Volume) -> Volume:
    """The same volume in RAS+ orientation, by permuting and flipping axes, without resampling.

    Oblique volumes keep their angle; each axis gets the world axis that it is closest to.
    """
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    orientation = io_orientation(volume.affine)
    turned = apply_orientation(volume.data, orientation)
    affine = volume.affine @ inv_ornt_aff(orientation, volume.data.shape)
    # Rounding makes the result the same bits from whichever way the volume was stored.
    return replace(
        volume, data=np.ascontiguousarray(turned), affine=np.round(affine, ROUNDED) + 0.0
    )


def one_thread() -> None:
    """Make SimpleITK use one thread, in all of the process and for good.

    Sums over several threads differ in their last digits from run to run, and so would whatever an
    optimiser makes of them; setting it on one filter does not reach the filters inside that.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def to_image(volume: Volume) -> sitk.Image:
    """The volume as an image of SimpleITK, in LPS."""
    import SimpleITK as sitk

    lps = LPS_FROM_RAS @ volume.affine
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data.T))
    spacing = volume.spacing_mm
    image.SetSpacing(spacing)
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def from_image(image: sitk.Image) -> Volume:
    """A scalar three-dimensional image of SimpleITK as a volume."""
    import SimpleITK as sitk

    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return new_volume(sitk.GetArrayFromImage(image).T, LPS_FROM_RAS @ affine)
