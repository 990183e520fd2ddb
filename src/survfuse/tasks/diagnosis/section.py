"""The section `cohort.diagnosis` of the configuration: classes instead of follow-up times."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from survfuse.config.task_section import TaskSection


class DiagnosisConfig(TaskSection):
    """Which class a patient is of, read from a column or from the endpoint at a horizon."""

    meaning: ClassVar[str] = (
        "What class a patient is of; models then classify. Default: models estimate survival."
    )
    asks: ClassVar[str] = "models classify"
    printed: ClassVar[tuple[str, ...]] = ("name", "definition")

    name: str = Field("diagnosis", description="Name of what is diagnosed, for the reports.")
    definition: str = Field(
        "as given in the patient sheet",
        description="What makes a patient one of a class; printed in every report.",
    )
    classes: list[str] = Field(
        default_factory=lambda: ["stable", "converted"],
        description="The classes; of two, the second is what is looked for. With `column` they "
        "are its values.",
    )
    column: str | None = Field(
        None, description="Column of the patient sheet with the class; empty = unknown."
    )
    horizon_months: float | None = Field(
        None,
        gt=0,
        description="Instead of a column: the second class had the event of the endpoint by this "
        "time, the first was followed to it without. Whoever was followed for less is unknown.",
    )

    @model_validator(mode="after")
    def one_way_to_know(self) -> DiagnosisConfig:
        if (self.column is None) == (self.horizon_months is None):
            raise ValueError("diagnosis needs either a column or horizon_months")
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError("diagnosis.classes must be two or more different names")
        if self.horizon_months is not None and len(self.classes) != 2:
            raise ValueError("diagnosis.horizon_months makes two classes; name two")
        return self

    @property
    def no_times(self) -> str:
        """A class from a column comes without follow-up."""
        if self.column is None:
            return ""
        return (
            "which a diagnosis by column does not have; use mcar, or "
            "cohort.diagnosis.horizon_months"
        )


SECTION = DiagnosisConfig
