"""The section `report` of the configuration: what the reports say and for whom."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from survfuse.config.section import Section


class ReportConfig(Section):
    """What the reports say and for whom."""

    title: str | None = Field(
        None, description="Heading of the cohort report; default: the name of the run."
    )
    model: str | None = Field(
        None, description="Model row shown on patient pages; default: the first fusion model."
    )
    patients: list[str] | Literal["all"] = Field(
        default_factory=list, description='Patients that get a page: a list of ids, or "all".'
    )
    min_cell: int = Field(5, ge=1, description="Counts below this are suppressed.")
