"""The configuration: one typed model that gives schema, defaults, documentation and messages.

`config_file.load` reads one. Every field has a description, which becomes the JSON schema in
workflow/schemas and the table in docs/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from survfuse import __version__
from survfuse.config_diagnosis import DiagnosisConfig
from survfuse.config_imaging import ImagingConfig
from survfuse.config_rules import refuse_contradictions
from survfuse.config_section import Section
from survfuse.config_source import SimulatedClinicSource, SimulatedSource, Source
from survfuse.config_synthesis import SynthesisConfig
from survfuse.config_training import TrainingConfig
from survfuse.files import sha256_json

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
# Words of the cohort that the reports print and nothing computes with.
WORDS = {"endpoint": {"name", "definition"}, "diagnosis": {"name", "definition"}}
MONTHS_PER = {"months": 1.0, "days": 1.0 / 30.4375, "years": 12.0}


class Endpoint(Section):
    """What is predicted, and how the sheet codes it."""

    name: str = Field("overall survival", description="Name of the endpoint, for the reports.")
    definition: str = Field(
        "time from diagnosis to death from any cause",
        description="Start, event, and what happens to other causes; printed in every report.",
    )
    time: str = Field("time", description="Column with the follow-up time.")
    event: str = Field("event", description="Column that says whether the event was observed.")
    event_value: int | str = Field(
        1, description="The value of the event column that means the event was observed."
    )
    censored_value: int | str = Field(0, description="The value that means censored.")
    interval: tuple[str, str] | None = Field(
        None,
        description="Instead of time and event: the columns of the last time known event-free and "
        "the first time known with the event (empty = censored). Events are placed at the middle.",
    )
    time_unit: Literal["months", "days", "years"] = Field(
        "months", description="Unit of the time columns; everything downstream is in months."
    )


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


class CohortConfig(Section):
    """Where the sample sheets are and what their columns mean."""

    patients: Path | None = Field(None, description="patients.tsv: one row per patient.")
    slides: Path | None = Field(None, description="slides.tsv: one row per slide, or none.")
    omics: Path | None = Field(
        None, description="Gene matrix, patients x genes: .csv, .tsv (also .gz) or .parquet."
    )
    images: Path | None = Field(
        None, description="images.tsv: one row per brain volume, or none; see docs/imaging.md."
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
    diagnosis: DiagnosisConfig | None = Field(
        None,
        description="What class a patient is of; models then tell classes apart. Default: models "
        "estimate survival.",
    )
    site: str | None = Field(None, description="Column of the centre that supplied the patient.")
    covariates: dict[str, Covariate] = Field(
        default_factory=dict, description="Clinical covariates by column name."
    )


class SplitConfig(Section):
    """How patients are divided into training and test parts."""

    folds: int = Field(5, ge=2, le=20, description="Outer folds.")
    repeats: int = Field(1, ge=1, le=20, description="Repetitions with other random folds.")
    inner_fraction: float = Field(
        0.2, gt=0, lt=0.5, description="Part of the training patients held out for early stopping."
    )
    group_by_site: bool = Field(False, description="Keep all patients of a site in one fold.")
    seed: int = Field(0, description="Seed of the random folds.")


class SlideConfig(Section):
    """Tissue, tiles and embeddings."""

    target_mpp: float = Field(0.5, ge=0.1, le=8, description="Micrometres per pixel of a tile.")
    tile_px: int = Field(256, ge=32, le=2048, description="Side of a tile in pixels.")
    min_tissue: float = Field(0.3, ge=0, le=1, description="Least share of tissue in a tile.")
    min_tissue_mm2: float = Field(
        0.02, ge=0, description="Pieces of tissue smaller than this are ignored."
    )
    encoder: str = Field(
        "resnet50_trunc",
        description="A timm model name, or resnet50_trunc (CLAM's truncated ResNet-50).",
    )
    encoder_options: dict[str, int | float | bool | str | list[int]] = Field(
        default_factory=dict,
        description="Arguments of timm.create_model that the weights were trained with, e.g. "
        "{img_size: 224, init_values: 1.0e-5, dynamic_img_size: true}. A layer is named by its "
        "path in timm.layers or torch.nn, e.g. timm.layers.SwiGLUPacked.",
    )
    weights: Path | None = Field(
        None, description="Local .safetensors or .pt weights; required unless untrained is true."
    )
    untrained: bool = Field(
        False, description="Use seeded random weights, for demonstrations; reports say so."
    )
    batch_size: int = Field(50, ge=1, description="Slides per job.")
    max_failed_fraction: float = Field(
        0.2, ge=0, le=1, description="More quarantined slides than this stop the run (exit 4)."
    )
    clam_export: bool = Field(False, description="Also write CLAM's patches, h5_files, pt_files.")


class OmicsConfig(Section):
    """Gene expression and how genes are grouped."""

    suffixes: dict[str, str] = Field(
        default_factory=lambda: {"rna": ""},
        description="Column suffix of each data type, e.g. {rna: _rnaseq, cnv: _cnv}.",
    )
    gene_sets: Path | None = Field(
        None, description="Gene sets: .gmt, or the wide CSV with one set per column (also .gz)."
    )
    min_genes: int = Field(2, ge=1, description="Gene sets with fewer measured genes are dropped.")
    winsorise: float = Field(
        0.01, ge=0, lt=0.5, description="Share clipped at each tail, per gene, training part only."
    )
    max_missing: float = Field(
        0.2, ge=0, lt=1, description="Genes missing in more training patients are dropped."
    )
    min_variance: float = Field(
        1e-6, ge=0, description="Genes with less variance in the training part are dropped."
    )


class ModelConfig(Section):
    """One row of the leaderboard."""

    name: str = Field(
        pattern=IDENTIFIER,
        description="Unique name of the row, used in file names (not in job comments).",
    )
    kind: str = Field(description="Model: an entry of the registry, e.g. cmta, snn, abmil.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the model, e.g. {alignment_weight: 1.0}."
    )
    permute_outcomes: bool = Field(
        False,
        description="Control: train on outcomes permuted among training patients. A late fusion is "
        "one if all its parts are.",
    )


class EvaluationConfig(Section):
    """What is measured on the out-of-fold predictions."""

    horizons_months: list[float] = Field(
        default_factory=lambda: [12.0, 24.0, 36.0], description="Times at which risk is reported."
    )
    tau_months: float | None = Field(
        None,
        gt=0,
        description="Truncation of Uno's C and IBS; default: where 10 % are still at risk.",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of all intervals.")
    bootstrap: int = Field(500, ge=20, description="Patient resamples for metric intervals.")
    reference: str = Field(
        "clinical_cox", description="Model row that all differences are taken against."
    )
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")


class ReportConfig(Section):
    """What the reports say and for whom."""

    title: str = Field("Survival report", description="Heading of the cohort report.")
    model: str | None = Field(
        None, description="Model row shown on patient pages; default: the first fusion model."
    )
    patients: list[str] | Literal["all"] = Field(
        default_factory=list, description='Patients that get a page: a list of ids, or "all".'
    )
    min_cell: int = Field(5, ge=1, description="Counts below this are suppressed.")


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
    def sections_fit_together(self) -> Config:
        refuse_contradictions(self)
        return self

    @property
    def task(self) -> Literal["survival", "diagnosis"]:
        """What the models are asked for."""
        return "diagnosis" if self.cohort.diagnosis else "survival"

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
        of the cohort either.
        """
        unread = None if "report" in sections else {"cohort": WORDS}
        dumped = self.model_dump(mode="json", exclude=unread)
        rows = [row for row in dumped["models"] if row["name"] == model]
        read = {section: dumped[section] for section in sections}
        return sha256_json([__version__, read, rows])[:12]
