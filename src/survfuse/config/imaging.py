"""The section `imaging` of the configuration: how brain volumes are prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from survfuse.config.section import Section

MRI = ("t1", "mri", "t1c", "t2", "flair", "pd")  # the first of a visit is what others align to
PET = ("pet", "fdg", "amyloid", "tau")
Display = Literal["radiological", "neurological"]
RADIOLOGICAL: Display = "radiological"
# The side of the patient that pictures show on the left.
LEFT_OF_PICTURES: dict[Display, str] = {"radiological": "right", "neurological": "left"}
IMAGES = {"mri": MRI, "pet": PET}  # what models call them, and the names a sheet may use


class ImagingConfig(Section):
    """Brain volumes: correction, mask, registration, grid and intensities."""

    template: Path | None = Field(
        None,
        description="Volume in the space that all brains are brought to by an affine registration, "
        "e.g. the T1 of MNI152; without one, brains keep their size and lie in their own space.",
    )
    template_mask: Path | None = Field(
        None, description="Its brain mask; default: found as for any other volume."
    )
    reference_region: Path | None = Field(
        None,
        description="Mask in the space of the template (cerebellum, pons) whose mean divides PET; "
        "the column `reference` of the sheet comes first. Without either PET is scaled as MRI is.",
    )
    max_nonfinite: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of voxels that may be infinite or not a number and become background; "
        "more set the volume aside. Programs that write NaN outside the brain need about 0.9.",
    )
    reorient: bool = Field(
        True,
        description="Reorient volumes to RAS+ by permuting and flipping axes; without it "
        "and without a template volumes can be prepared, but not read by models or synthesis.",
    )
    bias_correction: bool = Field(True, description="Correct the bias field of MRI by N4.")
    find_mask: bool = Field(
        True,
        description="Find the brain where the sheet names no mask; if false, the whole head is "
        "taken instead.",
    )
    strip: bool = Field(True, description="Set everything outside the mask to background.")
    align_visit: bool = Field(
        True,
        description="Align PET and further MRI of a visit rigidly to its first MRI; if false, "
        "their world coordinates are believed.",
    )
    min_dice: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Least overlap (Dice) of the brain with the template's after registration, of "
        "the volume that others of its visit align to.",
    )
    resample: bool = Field(True, description="Bring volumes to `spacing_mm`.")
    spacing_mm: tuple[float, float, float] = Field(
        (1.7, 1.7, 1.7), description="Voxel spacing in mm along the axes R, A, S."
    )
    crop: bool = Field(True, description="Cut or pad to `shape`, around the brain.")
    shape: tuple[int, int, int] = Field(
        (96, 128, 96), description="Voxels of a prepared volume along the axes R, A, S."
    )
    normalise: bool = Field(
        True,
        description="Scale intensities to -1..1; background is -1. Without it volumes can be "
        "prepared, but not read by models or synthesis.",
    )
    visit: str | None = Field(
        None,
        description="Visit whose volumes models read; default: each patient's first, where "
        "screening and baseline come before m6, and m6 before m12.",
    )
    percentiles: tuple[float, float] = Field(
        (0.5, 99.5), description="Percentiles of the brain that become -1 and 1."
    )
    suvr_range: tuple[float, float] = Field(
        (0.0, 3.0), description="Uptake over that of the reference region that becomes -1 and 1."
    )
    display: Display = Field(
        RADIOLOGICAL,
        description="Side of pictures on which the patient's right lies: `radiological`, on the "
        "left; `neurological`, on the right. Letters in the pictures say which.",
    )
    cache_dtype: Literal["float16", "float32"] = Field(
        "float16", description="Number format of the tensors that training reads."
    )
    batch_size: int = Field(
        20, ge=1, description="Volumes per job, about; those of a patient stay together."
    )
    max_failed_fraction: float = Field(
        0.2, ge=0, le=1, description="More quarantined volumes than this stop the run (exit 4)."
    )

    @model_validator(mode="after")
    def numbers_make_sense(self) -> ImagingConfig:
        if not all(0.5 <= side <= 8 for side in self.spacing_mm):
            raise ValueError("spacing_mm must be three numbers from 0.5 to 8")
        if not all(8 <= side <= 512 for side in self.shape):
            raise ValueError("shape must be three numbers from 8 to 512")
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError("percentiles must rise, within 0 to 100")
        if not 0 <= self.suvr_range[0] < self.suvr_range[1]:
            raise ValueError("suvr_range must rise from 0 or more")
        if self.template is None and (self.template_mask or self.reference_region):
            raise ValueError("template_mask and reference_region need a template")
        return self
