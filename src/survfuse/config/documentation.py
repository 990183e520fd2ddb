"""The configuration's JSON schema and its documentation page, both generated from the model."""

from __future__ import annotations

import json
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from survfuse.config.cohort import CohortConfig, Covariate, Endpoint
from survfuse.config.encoder import EncoderConfig
from survfuse.config.evaluation import EvaluationConfig
from survfuse.config.imaging import ImagingConfig
from survfuse.config.missing import MissingConfig
from survfuse.config.models import ModelConfig
from survfuse.config.omics import OmicsConfig
from survfuse.config.report import ReportConfig
from survfuse.config.slides import SlideConfig
from survfuse.config.source import (
    HancockSource,
    OasisSource,
    PorpoiseSource,
    SimulatedClinicSource,
    SimulatedSource,
)
from survfuse.config.splits import SplitConfig
from survfuse.config.study import Config
from survfuse.config.synthesis import FlowConfig, SynthesisConfig, UNetConfig, VQGANConfig
from survfuse.config.task_section import SECTIONS as OF_TASKS
from survfuse.config.training import TrainingConfig, TuningConfig

SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("Top level", Config),
    ("source: simulated cohort", SimulatedSource),
    ("source: simulated memory clinic", SimulatedClinicSource),
    ("source: published TCGA table", PorpoiseSource),
    ("source: HANCOCK", HancockSource),
    ("source: OASIS", OasisSource),
    ("cohort", CohortConfig),
    ("cohort.endpoint", Endpoint),
    *((f"cohort.{name}", section) for name, section in OF_TASKS.items()),
    ("cohort.covariates.NAME", Covariate),
    ("cohort.missing", MissingConfig),
    ("splits", SplitConfig),
    ("slides", SlideConfig),
    ("slides.encoder", EncoderConfig),
    ("omics", OmicsConfig),
    ("imaging", ImagingConfig),
    ("synthesis", SynthesisConfig),
    ("synthesis.unet", UNetConfig),
    ("synthesis.vqgan", VQGANConfig),
    ("synthesis.flow", FlowConfig),
    ("training", TrainingConfig),
    ("training.tuning", TuningConfig),
    ("models[]", ModelConfig),
    ("evaluation", EvaluationConfig),
    ("report", ReportConfig),
]


def json_schema() -> str:
    """JSON schema of a configuration file, for editors and for `snakemake`'s validation."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def markdown() -> str:
    """The page docs/reference/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Generated from `survfuse.config` by `survfuse schema --format markdown`; edit the model, "
        "not this page.",
        "",
        "In every path a leading `~` is replaced by the home directory and `${NAME}` by the "
        "environment variable NAME; reports list the names of the variables, never their values. "
        "In any other value `${NAME}` is refused. Paths are relative to the directory in which the "
        "command runs. Where text is wanted, an unquoted number, yes, no, true or false is text as "
        "written: `levels: [1, 2, 3]` and `classes: [No, Yes]` are words.",
    ]
    for title, model in SECTIONS:
        lines += ["", f"## {title}", "", "| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [row(name, field) for name, field in model.model_fields.items()]
    return "\n".join(lines) + "\n"


def row(name: str, field: FieldInfo) -> str:
    """One table row for a field."""
    default = "required" if field.is_required() else shown(field)
    meaning = field.description or ("see the section of this name" if is_section(field) else "")
    cells = (f"`{name}`", f"`{type_name(field.annotation)}`", default, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def shown(field: FieldInfo) -> str:
    """The default as YAML would write it."""
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "see section"
    return f"`{json.dumps(value)}`"


def is_section(field: FieldInfo) -> bool:
    """Whether a field holds a section rather than a value."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def type_name(annotation: Any) -> str:
    """A short readable type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        names = [type_name(argument) for argument in arguments if argument is not type(None)]
        return " or ".join(dict.fromkeys(names))
    if origin is Literal:
        return " or ".join(str(argument) for argument in arguments)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is not None:
        return f"{origin.__name__} of {', '.join(type_name(argument) for argument in arguments)}"
    names_of = {"Path": "path", "str": "text", "bool": "true or false", "float": "number"}
    name = str(getattr(annotation, "__name__", annotation))
    return names_of.get(name, name)
