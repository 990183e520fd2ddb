"""The section `source` of the configuration: sheets drawn, or made from published tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from survfuse.config.section import Section

HEAD_MM = (150, 190, 150)  # along R, A, S: the extent of a simulated head with its position


class SimulatedSource(Section):
    """A simulated cohort with known truth, drawn before anything else runs."""

    kind: Literal["simulate"] = Field(description="A simulated cohort.")
    patients: int = Field(80, ge=20, le=2000, description="Number of simulated patients.")
    seed: int = Field(1, ge=0, description="Seed of the simulation.")


class SimulatedClinicSource(Section):
    """A simulated memory clinic with MRI, PET and known truth, drawn before anything else runs."""

    kind: Literal["simulate_clinic"] = Field(description="A simulated memory clinic.")
    patients: int = Field(120, ge=20, le=2000, description="Number of simulated patients.")
    seed: int = Field(1, ge=0, description="Seed of the simulation.")
    missing_pet: float = Field(0.3, ge=0, le=0.9, description="Share of the patients without PET.")
    mechanism: Literal["mcar", "outcome"] = Field(
        "mcar",
        description="mcar: PET is missing by chance. outcome: less often for patients who convert.",
    )
    shape: tuple[int, int, int] = Field(
        (32, 40, 32), description="Voxels of a volume along the axes R, A, S."
    )
    voxel_mm: float = Field(5.0, ge=1, le=8, description="Side of a voxel in millimetres.")

    @model_validator(mode="after")
    def holds_a_head(self) -> SimulatedClinicSource:
        sides_mm = [side * self.voxel_mm for side in self.shape]
        if any(side > 256 for side in self.shape) or any(
            side < least for side, least in zip(sides_mm, HEAD_MM, strict=True)
        ):
            raise ValueError(
                "shape must be three numbers up to 256 that make at least "
                f"{' x '.join(map(str, HEAD_MM))} mm with voxel_mm, so that a head fits in"
            )
        return self


class PorpoiseSource(Section):
    """A published TCGA table of the PORPOISE/MCAT layout, one row per slide."""

    kind: Literal["porpoise"] = Field(description="A published TCGA table.")
    table: Path = Field(description="CSV with case_id, survival_months, censorship, genes.")
    folds: Path | None = Field(None, description="Long CSV with the columns fold, set, case_id.")
    clinical: Path | None = Field(
        None, description="GDC clinical TSV that supplies the tumour stage."
    )
    slide_features: Path | None = Field(
        None, description="CSV with one row of slide-derived features per slide (HIF layout)."
    )


class HancockSource(Section):
    """The published tables of HANCOCK, head and neck cancer with images of eight stains."""

    kind: Literal["hancock"] = Field(description="The HANCOCK cohort.")
    directory: Path = Field(
        description="Directory of targets, clinical, pathological, blood and tma_cell_density "
        "(.csv.gz) and of tma_dtr_STAIN.npz."
    )
    endpoint: Literal["os", "rfs"] = Field(
        "os",
        description="os: death from any cause. rfs: recurrence, progression, metastasis or death.",
    )


class OasisSource(Section):
    """The longitudinal table of OASIS-2: older people with repeated MRI, one row per visit."""

    kind: Literal["oasis"] = Field(description="The longitudinal cohort of OASIS.")
    table: Path = Field(
        description="CSV with Subject ID, Visit, MR Delay, M/F, Age, EDUC, SES, MMSE, CDR, eTIV, "
        "nWBV, ASF."
    )


Source = Annotated[
    SimulatedSource | SimulatedClinicSource | PorpoiseSource | HancockSource | OasisSource,
    Field(discriminator="kind"),
]
SOURCE_KINDS = ["simulate", "simulate_clinic", "porpoise", "hancock", "oasis"]
