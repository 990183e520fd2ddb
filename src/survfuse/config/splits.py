"""The section `splits` of the configuration: folds, and how often they are drawn."""

from __future__ import annotations

from pydantic import Field

from survfuse.config.section import Section


class SplitConfig(Section):
    """How patients are divided into training and test parts."""

    folds: int = Field(5, ge=2, le=20, description="Outer folds.")
    repeats: int = Field(
        5,
        ge=1,
        le=20,
        description="Repetitions with other random folds; default: 1 where folds are published, "
        "which are the first repeat of more. "
        "Intervals are about 1.7 times as wide with 1 as with 5. Networks: training.repeats.",
    )
    validation_fraction: float = Field(
        0.2, gt=0, lt=0.5, description="Part of the training patients held out for early stopping."
    )
    group_by_site: bool = Field(False, description="Keep all patients of a site in one fold.")
    seed: int = Field(0, description="Seed of the random folds.")
