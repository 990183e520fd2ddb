"""The section `cohort` of the configuration: the sample sheets and what their columns mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, create_model, model_validator

from survfuse.config.missing import MissingConfig
from survfuse.config.section import Section
from survfuse.config.task_section import SECTIONS, UNASKED, TaskSection, settings_of
from survfuse.core.event_words import event_words
from survfuse.core.messages import marked
from survfuse.modalities.registry import MODALITIES

# What delayed entry is called elsewhere; asked for, it is refused with the reason.
ENTRY_KEYS = ("entry", "entry_time", "delayed_entry", "left_truncation", "truncation")


MONTHS_PER = {"months": 1.0, "days": 1.0 / 30.4375, "years": 12.0}


class Endpoint(Section):
    """What is predicted, and how the sheet codes it."""

    name: str = Field(
        marked("overall survival"), description="Name of the endpoint, for the reports."
    )
    definition: str = Field(
        marked("time from diagnosis to death from any cause"),
        description="Start, event, and what happens to other causes; printed in every report.",
    )
    event_words: str | None = Field(
        None,
        pattern=r"^(have|are) \S.*$",
        description="What patients with the event have done, for sentences of the reports: have "
        "died, have converted to dementia. Default: inferred from the name and the definition.",
    )
    time: str = Field("time", description="Column with the follow-up time.")
    event: str = Field("event", description="Column that says whether the event was observed.")
    event_value: int | str = Field(
        1, description="The value of the event column that means the event was observed."
    )
    censored_value: int | str = Field(0, description="The value that means censored.")
    competing_values: list[int | str] = Field(
        default_factory=list,
        description="Values that mean another event which rules this one out, such as death from "
        "another cause; censored at that time, see docs/explanation/methods.md. Default: none, and "
        "refused.",
    )
    interval: tuple[str, str] | None = Field(
        None,
        description="Instead of time and event: the columns of the last time known event-free and "
        "the first time known with the event (empty = censored). Events are placed at the middle.",
    )
    time_unit: Literal["months", "days", "years"] = Field(
        "months", description="Unit of the time columns; everything downstream is in months."
    )

    @property
    def happened(self) -> str:
        """What patients with the event have done, such as "have died"."""
        return self.event_words or event_words(self.name, self.definition)

    @model_validator(mode="before")
    @classmethod
    def no_delayed_entry(cls, values: Any) -> Any:
        asked = [key for key in ENTRY_KEYS if isinstance(values, dict) and key in values]
        if asked:
            raise ValueError(
                f"{asked[0]}: delayed entry (left truncation) is not supported: everybody counts "
                "as at risk from time 0, so that early risk is underestimated where patients "
                "enter late. Remove the key only if all enter at time 0; otherwise let the times "
                "start at entry and say so in endpoint.definition; see docs/explanation/methods.md"
            )
        return values


class Covariate(Section):
    """A clinical variable and its type."""

    type: Literal["continuous", "ordinal", "categorical"] = Field(
        description="continuous (number), ordinal (ordered levels) or categorical (unordered)."
    )
    levels: list[str] = Field(
        default_factory=list, description="Ordered levels of an ordinal variable, lowest first."
    )

    @model_validator(mode="after")
    def ordinal_has_levels(self) -> Covariate:
        if (self.type == "ordinal") != bool(self.levels):
            raise ValueError("an ordinal covariate, and only an ordinal one, lists its levels")
        return self


class CohortTables(Section):
    """The section `cohort` but for what asks for a task; see `CohortConfig`."""

    patients: Path | None = Field(None, description="patients.tsv: one row per patient.")
    slides: Path | None = Field(None, description="slides.tsv: one row per slide, or none.")
    omics: Path | None = Field(
        None, description="Gene matrix, patients x genes: .csv, .tsv (also .gz) or .parquet."
    )
    images: Path | None = Field(
        None,
        description="images.tsv: one row per brain volume, or none; see docs/how_to/imaging.md.",
    )
    tables: dict[str, Path] = Field(
        default_factory=dict,
        description="Tables of features by modality, e.g. {radiomics: radiomics.tsv}: a column "
        "patient_id, and one for each feature.",
    )
    folds: Path | None = Field(
        None, description="Published folds: a table with the columns patient_id and fold."
    )
    roots: list[Path] = Field(
        default_factory=list,
        description="Directories that slides and volumes may lie in; default: that of their sheet.",
    )
    missing: MissingConfig | None = Field(
        None, description="Modalities withheld from training patients; default: none."
    )
    endpoint: Endpoint = Field(default_factory=lambda: Endpoint())
    site: str | None = Field(None, description="Column of the centre that supplied the patient.")
    covariates: dict[str, Covariate] = Field(
        default_factory=dict, description="Clinical covariates by column name."
    )

    @property
    def asked(self) -> TaskSection | None:
        """The section that asks for a task; None where none does."""
        found = (getattr(self, name) for name in SECTIONS)
        return next((section for section in found if section is not None), None)

    @property
    def task(self) -> str:
        """What the models are asked for."""
        return next((name for name in SECTIONS if getattr(self, name) is not None), UNASKED)

    @property
    def why_task(self) -> str:
        """What in the configuration asks for the task, for messages."""
        asked = self.asked
        if asked is None:
            return f"{settings_of(SECTIONS)} is not set"
        return f"cohort.{self.task} is set, so {asked.asks}"

    @model_validator(mode="after")
    def one_task(self) -> CohortTables:
        asked = [name for name in SECTIONS if getattr(self, name) is not None]
        if len(asked) > 1:
            raise ValueError(
                f"{' and '.join(asked)} ask for tasks of their own, and a run has one; keep one "
                "of them"
            )
        return self

    @model_validator(mode="after")
    def tables_are_modalities(self) -> CohortTables:
        known = [name for name, entry in MODALITIES.items() if entry.is_table]
        for name in self.tables:
            if name not in known:
                raise ValueError(
                    f"tables: there is no modality {name!r} that comes as a table; known are "
                    f"{', '.join(known)}"
                )
        return self


# With an optional section for every task that is asked for by one, under the name of the task.
if TYPE_CHECKING:
    CohortConfig = CohortTables
else:
    CohortConfig = create_model(
        "CohortConfig",
        __base__=CohortTables,
        __module__=__name__,
        __doc__="Where the sample sheets are and what their columns mean.",
        **{
            name: (section | None, Field(None, description=section.meaning))
            for name, section in SECTIONS.items()
        },
    )
