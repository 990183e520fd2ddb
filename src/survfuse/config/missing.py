"""The section `cohort.missing` of the configuration: modalities withheld on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from survfuse.config.section import Section


class MissingConfig(Section):
    """Modalities withheld from training patients, for experiments. Test patients keep theirs."""

    slides: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the training patients with both modalities from whom slides are "
        "withheld; nominal where `published` is set.",
    )
    omics: float = Field(
        0.0, ge=0, le=1, description="The same for omics; both add up to at most 1."
    )
    mechanism: Literal["mcar", "mnar"] = Field(
        "mcar",
        description="mcar: whoever it is. mnar: more often patients with an event before the "
        "median event time.",
    )
    mnar_odds: float = Field(
        4.0, gt=0, le=1000, description="mnar: how many times the odds of the others."
    )
    seed: int = Field(0, description="Seed of the draw, per repeat and fold.")
    published: Path | None = Field(
        None,
        description="Published folds with missing modalities: a directory of files named like "
        "..._fold_3_W20_O40.csv, or one table with the columns fold, W, O. Replaces cohort.folds "
        "and the draw.",
    )

    @model_validator(mode="after")
    def somebody_keeps_something(self) -> MissingConfig:
        if self.slides + self.omics > 1:
            raise ValueError("slides and omics must add up to at most 1: nobody may lose both")
        return self
