"""What all sections of the configuration share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values never change after loading.

    Numbers are finite: `.nan` passes comparisons such as "is increasing" and fails after training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
