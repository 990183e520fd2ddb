"""The configuration: one typed model that gives schema, defaults, documentation and messages.

`config.file.read_config` reads one. Every field has a description, which becomes the JSON schema in
workflow/schemas and the table in docs/.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from survfuse import __version__
from survfuse.config.cohort import CohortConfig
from survfuse.config.evaluation import EvaluationConfig
from survfuse.config.imaging import ImagingConfig
from survfuse.config.models import IDENTIFIER, ModelConfig
from survfuse.config.omics import OmicsConfig
from survfuse.config.report import ReportConfig
from survfuse.config.rules import refuse_contradictions
from survfuse.config.section import Section
from survfuse.config.slides import SlideConfig
from survfuse.config.source import SOURCE_KINDS, SimulatedClinicSource, SimulatedSource, Source
from survfuse.config.splits import SplitConfig
from survfuse.config.synthesis import SynthesisConfig
from survfuse.config.task_section import SECTIONS
from survfuse.config.training import TrainingConfig
from survfuse.core.files import sha256_json

# Words of the cohort that the reports print and nothing computes with.
WORDS = {
    "endpoint": {"name", "definition", "event_words"},
    **{name: set(section.printed) for name, section in SECTIONS.items()},
}


@dataclass(frozen=True)
class LeftOut:
    """What this cohort cannot have, or has in another form: see `survfuse.models.runnable`."""

    key: str  # of the configuration, e.g. models.abmil
    sentence: str
    remedy: str
    role: str = ""  # of the leaderboard, which then need not have it: clinical or control


class Config(Section):
    """Everything scientific about one run; what belongs to a site lives in the profiles."""

    name: str = Field(pattern=IDENTIFIER, description="Name of the run.")
    output: Path = Field(description="Directory for all results.")
    source: Source | None = Field(
        None, description="Where the sheets come from, when they are not files of your own."
    )
    cohort: CohortConfig = Field(default_factory=lambda: CohortConfig())
    splits: SplitConfig = Field(default_factory=lambda: SplitConfig())
    slides: SlideConfig = Field(default_factory=lambda: SlideConfig())
    omics: OmicsConfig = Field(default_factory=lambda: OmicsConfig())
    imaging: ImagingConfig = Field(default_factory=lambda: ImagingConfig())
    synthesis: SynthesisConfig | None = Field(
        None,
        description="Volumes made for patients who lack MRI or PET, see the section of this name; "
        "default: none are made.",
    )
    training: TrainingConfig = Field(default_factory=lambda: TrainingConfig())
    models: list[ModelConfig] = Field(min_length=1, description="The rows of the leaderboard.")
    evaluation: EvaluationConfig = Field(default_factory=lambda: EvaluationConfig())
    report: ReportConfig = Field(default_factory=lambda: ReportConfig())
    _variables: tuple[str, ...] = PrivateAttr(())

    _left_out: tuple[LeftOut, ...] = PrivateAttr(default=())

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What was configured and this cohort does without; `models` no longer lists it."""
        return self._left_out

    def with_left_out(self, left_out: Sequence[LeftOut]) -> Config:
        """The same configuration, which knows what it does without."""
        changed = self.model_copy()
        changed._left_out = tuple(left_out)
        return changed

    @model_validator(mode="before")
    @classmethod
    def sheets_of_a_source(cls, values: Any) -> Any:
        """A source writes its sheets to `<output>/sheets`; point the cohort there."""
        if not isinstance(values, dict) or not values.get("source") or "output" not in values:
            return values
        source, cohort, omics = (values.get(name) or {} for name in ("source", "cohort", "omics"))
        if not all(isinstance(section, dict) for section in (source, cohort, omics)):
            return values  # which the types of the fields will explain
        sheets, cohort, omics = Path(str(values["output"])) / "sheets", dict(cohort), dict(omics)
        kind = source.get("kind")
        if kind not in SOURCE_KINDS:
            return values  # likewise
        written = {"patients": "patients.tsv"}
        if kind in ("simulate", "hancock", "porpoise"):
            written["omics"] = "omics.parquet"
        if kind in ("simulate", "hancock") or source.get("slide_features"):
            written["slides"] = "slides.tsv"
        if kind == "simulate_clinic":
            written["images"] = "images.tsv"
        if source.get("folds"):
            written["folds"] = "folds.tsv"
        for key, file in written.items():
            if cohort.get(key):
                raise ValueError(f"cohort.{key} is written by the source; remove it")
            cohort[key] = str(sheets / file)
        if kind in ("simulate", "hancock"):
            omics.setdefault("gene_sets", str(sheets / "gene_sets.gmt"))
        return {**values, "cohort": cohort, "omics": omics}

    @model_validator(mode="after")
    def published_folds_are_one_repeat(self) -> Config:
        """The default of `splits.repeats` is for folds that are drawn."""
        published = self.cohort.folds or (self.cohort.missing and self.cohort.missing.published)
        if published and "repeats" not in self.splits.model_fields_set:
            drawn_once = self.splits.model_copy(update={"repeats": 1})
            object.__setattr__(self, "splits", drawn_once)  # sections are frozen
        return self

    @model_validator(mode="after")
    def sections_fit_together(self) -> Config:
        refuse_contradictions(
            self.cohort,
            self.splits,
            self.training,
            self.models,
            self.evaluation,
            self.report,
            self.source,
            self.synthesis,
        )
        return self

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the environment variables whose values stand in paths; for the provenance."""
        return self._variables

    def with_variables(self, names: Collection[str]) -> Config:
        """The same configuration, which knows what environment variables it was made with."""
        copy = self.model_copy()
        copy._variables = tuple(sorted(names))
        return copy

    @property
    def task(self) -> str:
        """What the models are asked for."""
        return self.cohort.task

    @property
    def simulation(self) -> SimulatedSource | SimulatedClinicSource | None:
        """The source, where it is a simulation with known truth."""
        source = self.source
        return source if isinstance(source, SimulatedSource | SimulatedClinicSource) else None

    def grid_months(self) -> list[float]:
        """Times at which survival is predicted and stored: an even grid, horizons, bin edges."""
        last = max(*self.evaluation.horizons_months, *self.training.bins_months)
        even = {round(last * step / 20, 6) for step in range(1, 21)}
        return sorted(even | {*self.evaluation.horizons_months, *self.training.bins_months})

    def settings_hash(self, *sections: str, model: str | None = None) -> str:
        """Short hash of the named sections, one model row, and the version of survfuse.

        Rules carry it as a parameter, so that a stage runs again when, and only when, the part of
        the configuration it reads has changed. Who does not read `report` does not read the words
        of the cohort either. Where the study lies does not count: of absolute paths only the name.
        Nor does how often the folds of a row repeat, or in how many jobs they are fitted: the
        folds that are there stay as they are.
        """
        unread: dict[str, Any] = {
            "training": {"repeats", "folds_in_one_job"},
            "models": {"__all__": {"repeats"}},
            **({} if "report" in sections else {"cohort": WORDS}),
        }
        dumped = without_places(self.model_dump(exclude=unread))
        rows = [row for row in dumped["models"] if row["name"] == model]
        read = {section: dumped[section] for section in sections}
        return sha256_json([__version__, read, rows])[:12]


def without_places(value: Any) -> Any:
    """A dumped section in JSON's types, with the names of absolute paths only."""
    if isinstance(value, dict):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(item) for item in value]
    if isinstance(value, Path):
        return value.name if value.is_absolute() else str(value)
    return value
