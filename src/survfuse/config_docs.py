"""The configuration's JSON schema and its documentation page, both generated from the model."""

from __future__ import annotations

import json
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from survfuse import (
    config,
    config_diagnosis,
    config_imaging,
    config_source,
    config_synthesis,
    config_training,
)

SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("Top level", config.Config),
    ("source: simulated cohort", config_source.SimulatedSource),
    ("source: simulated memory clinic", config_source.SimulatedClinicSource),
    ("source: published TCGA table", config_source.PorpoiseSource),
    ("source: HANCOCK", config_source.HancockSource),
    ("source: OASIS", config_source.OasisSource),
    ("cohort", config.CohortConfig),
    ("cohort.endpoint", config.Endpoint),
    ("cohort.diagnosis", config_diagnosis.DiagnosisConfig),
    ("cohort.covariates.NAME", config.Covariate),
    ("cohort.missing", config.MissingConfig),
    ("splits", config.SplitConfig),
    ("slides", config.SlideConfig),
    ("omics", config.OmicsConfig),
    ("imaging", config_imaging.ImagingConfig),
    ("synthesis", config_synthesis.SynthesisConfig),
    ("synthesis.unet", config_synthesis.UNetConfig),
    ("synthesis.vqgan", config_synthesis.VQGANConfig),
    ("synthesis.flow", config_synthesis.FlowConfig),
    ("training", config_training.TrainingConfig),
    ("training.tuning", config_training.TuningConfig),
    ("models[]", config.ModelConfig),
    ("evaluation", config.EvaluationConfig),
    ("report", config.ReportConfig),
]


def json_schema() -> str:
    """JSON schema of a configuration file, for editors and for `snakemake`'s validation."""
    schema = config.Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def markdown() -> str:
    """The page docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Generated from `survfuse.config` by `survfuse schema --format markdown`; edit the model, "
        "not this page. `${NAME}` in a string is replaced by the environment variable NAME.",
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
