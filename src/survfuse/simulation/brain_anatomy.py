"""The heads of the simulated patients: tissue by place, from ellipsoids under a smooth warp.

Everything is a function of millimetres, so that one patient has the same anatomy on every grid; a
voxel takes its tissues in the shares that a border running through it gives, as partial volumes
do. Coordinates are those of the head, with 0 in mid-brain. The anatomy is a caricature (random
folds, no brain stem), made to carry known signs: the hippocampus shrinks, the ventricles grow and
the cortex thins with the signs of `brain_truth`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from survfuse.simulation.brain_geometry import (
    Grid,
    Position,
    Triple,
    Volume,
    as_column,
    depth,
    draw_waves,
    share,
    waves,
)

# Radii and centres in mm; x of the centre is mirrored.
CEREBRUM_MM, CEREBRUM_CENTRE_MM = (63.0, 80.0, 56.0), (0.0, 0.0, 8.0)
CEREBELLUM_MM, CEREBELLUM_CENTRE_MM = (44.0, 27.0, 20.0), (0.0, -42.0, -36.0)
FACE_MM, FACE_CENTRE_MM = (68.0, 84.0, 70.0), (0.0, 4.0, -2.0)
HIPPOCAMPUS_MM, HIPPOCAMPUS_CENTRE_MM = (8.0, 18.0, 8.0), (27.0, -16.0, -16.0)
VENTRICLE_MM, VENTRICLE_CENTRE_MM = (7.0, 29.0, 9.0), (13.0, -2.0, 15.0)
HORN_MM, HORN_CENTRE_MM = (6.0, 10.0, 8.0), (20.0, -28.0, 6.0)
THIRD_MM, THIRD_CENTRE_MM = (2.5, 12.0, 9.0), (0.0, -4.0, 2.0)
THALAMUS_MM, THALAMUS_CENTRE_MM = (9.0, 14.0, 8.0), (12.0, -8.0, 3.0)
STRIATUM_MM, STRIATUM_CENTRE_MM = (8.0, 15.0, 9.0), (24.0, 10.0, 3.0)

CISTERN_MM, SKULL_MM, SCALP_MM = 2.0, 6.0, 11.0  # outer borders, from the brain outwards
RIBBON_MM, SULCUS_DEPTH_MM, SULCUS_HALF_MM = 4.5, 13.0, 0.8
FISSURE_DEPTH_MM, FISSURE_HALF_MM = 32.0, 1.0
FOLD_MM = (28.0, 40.0)  # wave lengths; sulci run where the sum of the waves is 0
MM_PER_FOLD = float(np.mean(FOLD_MM)) / (2 * np.pi)  # distance to a sulcus, per unit of the sum

# What one unit of a sign does to the logarithm of a radius, a thickness or a width.
HIPPOCAMPUS_PER_SIGN, VENTRICLE_PER_SIGN = -0.10, 0.13
RIBBON_PER_SIGN, SULCUS_PER_SIGN = -0.08, 0.25
HEAD_SIZE_SPREAD = 0.03
WARP_MM, WARP_WAVES, WARP_LENGTH_MM = 1.6, 6, (70.0, 140.0)

REGIONS = {
    "cortex": 1,
    "white": 2,
    "ventricles": 3,
    "hippocampi": 4,
    "deep_grey": 5,
    "cerebellum": 6,
    "temporoparietal": 7,
    "posterior_cingulate": 8,
}
# Where the PET of later converters is low: centre (x mirrored) and spread in mm, and weight.
PATTERN: tuple[tuple[Triple, Triple, float], ...] = (
    ((50.0, -46.0, 24.0), (26.0, 28.0, 28.0), 1.0),  # temporo-parietal
    ((5.0, -44.0, 34.0), (11.0, 20.0, 18.0), 1.0),  # posterior cingulate and precuneus
    ((46.0, -26.0, -14.0), (18.0, 24.0, 14.0), 0.6),  # temporal
)
MEDIAL_MM = 20.0  # of the pattern, what is nearer to the midline is cingulate


@dataclass(frozen=True)
class Signs:
    """What the anatomy shows of a patient, in the units of `brain_truth`."""

    hippocampus_loss: float = 0.0
    ventricle_growth: float = 0.0
    cortical_thinning: float = 0.0


@dataclass(frozen=True)
class Anatomy:
    """Shares of the tissues in every voxel, and where the PET pattern lies; all (x, y, z).

    `tissue` holds csf, grey, white, scalp and skull, whose sum is 1 in the head and 0 in the air.
    `ventricles` are part of csf; `hippocampi`, `deep_grey` and `cerebellum` of grey. `pattern` is
    the weight, 0 to 1, of the disease in the PET; `medial` is true near the midline.
    """

    tissue: dict[str, Volume]
    ventricles: Volume
    hippocampi: Volume
    deep_grey: Volume
    cerebellum: Volume
    pattern: Volume
    medial: NDArray[np.bool_]

    def brain_mask(self) -> NDArray[np.bool_]:
        """Where at least half of a voxel is brain or ventricle."""
        return self.tissue["grey"] + self.tissue["white"] + self.ventricles >= 0.5

    def region_labels(self) -> NDArray[np.uint8]:
        """REGIONS by their number, 0 outside the mask: the structure with most of the voxel."""
        grey, white = self.tissue["grey"], self.tissue["white"]
        cortex = grey - self.hippocampi - self.deep_grey - self.cerebellum
        shares = [cortex, white, self.ventricles, self.hippocampi, self.deep_grey, self.cerebellum]
        label = (np.stack(shares).argmax(axis=0) + 1).astype(np.uint8)
        diseased = (label == REGIONS["cortex"]) & (self.pattern > 0.5)
        label[diseased] = REGIONS["temporoparietal"]
        label[diseased & self.medial] = REGIONS["posterior_cingulate"]
        label[~self.brain_mask()] = 0
        return label


def draw_anatomy(rng: np.random.Generator, signs: Signs, position: Position, grid: Grid) -> Anatomy:
    """The anatomy of one patient on a grid.

    What is drawn from `rng` (size and shape of the head, course of the sulci) does not depend on
    the signs, the position or the grid.
    """
    size = float(np.exp(rng.normal(0, HEAD_SIZE_SPREAD)))
    warp = draw_waves(rng, (3, WARP_WAVES), WARP_LENGTH_MM)
    folds = draw_waves(rng, (1, 10), FOLD_MM)
    head = position.to_head(grid.points_mm()) / np.float32(size)
    head += np.float32(WARP_MM) * waves(warp, head)
    return build(head, waves(folds, head)[0], signs, grid.voxel_mm / size)


def build(head_mm: Volume, fold: Volume, signs: Signs, voxel_mm: float) -> Anatomy:
    """Tissues at the warped coordinates `head_mm` (3, x, y, z); `fold` (x, y, z) is 0 in sulci."""
    mirrored = np.stack([np.abs(head_mm[0]), head_mm[1], head_mm[2]])

    def inside(centre_mm: Triple, radii_mm: Triple, log_growth: float = 0.0) -> Volume:
        x, y, z = (radius * float(np.exp(log_growth)) for radius in radii_mm)
        return share(depth(mirrored, centre_mm, (x, y, z)), voxel_mm)

    cerebrum = depth(head_mm, CEREBRUM_CENTRE_MM, CEREBRUM_MM)
    cerebellum = depth(head_mm, CEREBELLUM_CENTRE_MM, CEREBELLUM_MM)
    below = cerebellum + 2.0  # the cerebellum and the water around it, which the cerebrum spares

    # Depth below the nearest surface of the cortex: outer surface, sulci, fissure, cerebellum.
    ribbon_mm = RIBBON_MM * float(np.exp(RIBBON_PER_SIGN * signs.cortical_thinning))
    half_mm = SULCUS_HALF_MM * float(np.exp(SULCUS_PER_SIGN * signs.cortical_thinning))
    pial = cerebrum - (RIBBON_MM - ribbon_mm)
    to_sulcus = np.abs(fold) * MM_PER_FOLD - half_mm
    deep = np.minimum(pial, np.maximum(to_sulcus, pial - SULCUS_DEPTH_MM))
    to_fissure = np.maximum(mirrored[0] - FISSURE_HALF_MM, pial - FISSURE_DEPTH_MM)
    deep = np.minimum(deep, np.maximum(to_fissure, -8.0 - head_mm[2]))
    deep = np.minimum(deep, -below)
    brain, white = share(deep, voxel_mm), share(deep - ribbon_mm, voxel_mm)

    growth = VENTRICLE_PER_SIGN * signs.ventricle_growth
    ventricles = np.maximum(
        np.maximum(
            inside(VENTRICLE_CENTRE_MM, VENTRICLE_MM, growth),
            inside(HORN_CENTRE_MM, HORN_MM, growth),
        ),
        inside(THIRD_CENTRE_MM, THIRD_MM, growth),
    )
    ventricles = np.minimum(ventricles, brain)
    # The hippocampus shrinks in a room of constant size; water fills the rest of it.
    shrinkage = HIPPOCAMPUS_PER_SIGN * signs.hippocampus_loss
    room = np.minimum(inside(HIPPOCAMPUS_CENTRE_MM, HIPPOCAMPUS_MM, 0.1), brain - ventricles)
    hippocampi = np.minimum(inside(HIPPOCAMPUS_CENTRE_MM, HIPPOCAMPUS_MM, shrinkage), brain)
    hippocampi = np.minimum(hippocampi, brain - ventricles)
    water = np.maximum(room - hippocampi, 0)

    rest = np.maximum(brain - ventricles - hippocampi - water, 0)
    nuclei = np.maximum(
        inside(THALAMUS_CENTRE_MM, THALAMUS_MM), inside(STRIATUM_CENTRE_MM, STRIATUM_MM)
    )
    nuclei = np.minimum(nuclei, rest)
    white = np.minimum(white, rest - nuclei)
    in_cerebellum = share(cerebellum, voxel_mm)
    cerebellar_white = np.float32(0.3) * share(cerebellum - 8.0, voxel_mm) * in_cerebellum
    cerebellar_grey = in_cerebellum - cerebellar_white
    grey = np.minimum(rest - white + hippocampi + cerebellar_grey, 1)
    white = np.minimum(white + cerebellar_white, 1 - grey)

    # Skull and scalp follow the brain as it was before it shrank; below it is the face.
    hull: Volume = np.maximum(cerebrum, cerebellum)
    in_skull = share(hull + CISTERN_MM, voxel_mm)
    in_bone = share(hull + SKULL_MM, voxel_mm)
    in_head = share(np.maximum(hull + SCALP_MM, depth(head_mm, FACE_CENTRE_MM, FACE_MM)), voxel_mm)
    tissue = {
        "csf": np.maximum(in_skull - grey - white, 0),
        "grey": grey,
        "white": white,
        "scalp": in_head - in_bone,
        "skull": in_bone - in_skull,
    }
    return Anatomy(
        tissue=tissue,
        ventricles=ventricles,
        hippocampi=hippocampi,
        deep_grey=nuclei,
        cerebellum=cerebellar_grey,
        pattern=disease_pattern(mirrored),
        medial=mirrored[0] < MEDIAL_MM,
    )


def disease_pattern(mirrored_mm: Volume) -> Volume:
    """Weight of the disease, 0 to 1, at coordinates of the head whose x is mirrored."""
    weight = np.zeros(mirrored_mm.shape[1:], np.float32)
    for centre, spread, peak in PATTERN:
        away = mirrored_mm - as_column(centre, mirrored_mm.ndim)
        away /= as_column(spread, mirrored_mm.ndim)
        weight = np.maximum(weight, np.float32(peak) * np.exp(-0.5 * (away**2).sum(axis=0)))
    return weight
