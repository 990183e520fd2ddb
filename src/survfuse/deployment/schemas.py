"""JSON schemas of what a package takes and gives; it holds them itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survfuse.config.study import Config
from survfuse.deployment.record import SCHEMA
from survfuse.evaluation.risks import ESTIMATED

DRAFT = "https://json-schema.org/draft/2020-12/schema"
PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
PATIENT = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
STATES = ["present", "synthetic", "unusable", "missing"]


def an_object(fields: Mapping[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": dict(fields),
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }


def many(items: Mapping[str, Any]) -> dict[str, Any]:
    """A list."""
    return {"type": "array", "items": dict(items)}


def or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    return {"anyOf": [dict(schema), {"type": "null"}]}


def by_name(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same for every name."""
    return {"type": "object", "additionalProperties": dict(schema)}


def estimates_schema() -> dict[str, Any]:
    """What is estimated of a patient, see `tasks.protocol.Task.estimates`."""
    horizon = {
        "months": {"type": "number", "exclusiveMinimum": 0},
        **dict.fromkeys(ESTIMATED, PROBABILITY),
        "beyond_study": FLAG,
        "observed": or_null(PROBABILITY),
        "events": {"type": "integer", "minimum": 0},
    }
    shares = ("probability", "lowest_of_models", "highest_of_models", "share_in_study")
    free = {
        "share": PROBABILITY,
        "n": {"type": "integer"},
        "until": NUMBER,
        "months": or_null({"type": "number", "minimum": 0}),
    }
    return an_object(
        {
            "horizons": many(an_object(horizon)),
            "classes": many(an_object({"name": TEXT, **dict.fromkeys(shares, PROBABILITY)})),
            "event_free_bound": or_null(an_object(free)),
            "not_estimable": by_name(TEXT),
        }
    )


def prediction_schema() -> dict[str, Any]:
    """The record of the prediction of one patient, see `record.prediction_records`."""
    estimates, log_hazard = estimates_schema(), {"log_hazard": NUMBER}
    package = {
        **dict.fromkeys(("name", "survfuse", "predicts"), TEXT),
        "title": or_null(TEXT),
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        **dict.fromkeys(("simulated", "untrained"), FLAG),
    }
    state = {"state": {"enum": STATES}, "reason": or_null(TEXT)}
    contributions = {
        "modalities": many(an_object({"modality": TEXT, **log_hazard})),
        "parts": many(an_object({"modality": TEXT, "part": TEXT, **log_hazard})),
    }
    value = {"type": ["string", "number"]}
    message = an_object({"text": TEXT, "values": by_name(value), "terms": by_name(TEXT)})
    record = {
        "schema": {"const": SCHEMA},
        "patient_id": PATIENT,
        "predicted_on": {"type": "string", "format": "date"},
        "use": TEXT,
        "package": an_object(package),
        "task": TEXT,
        "predicted": an_object(dict.fromkeys(("name", "definition", "happened"), TEXT)),
        "confidence": PROBABILITY,
        "row": TEXT,
        "label": TEXT,
        "estimates": estimates,
        "reference": or_null(an_object({"row": TEXT, "label": TEXT, "estimates": estimates})),
        "inputs": many(an_object({"modality": TEXT, "name": TEXT, **state})),
        "without_modality": by_name(estimates),
        "remarks": many(an_object({"sentence": TEXT, "message": message, "flagged": FLAG})),
        "novelty_p": by_name(PROBABILITY),
        "agreement_p": by_name(PROBABILITY),
        "contributions": or_null(an_object(contributions)),
        "performance": {"type": "object"},
    }
    return {"$schema": DRAFT, "title": "The prediction of one patient", **an_object(record)}


def patients_schema(config: Config) -> dict[str, Any]:
    """A row of the patient sheet, without the cells that are empty."""
    columns: dict[str, Any] = {"patient_id": PATIENT}
    for name, covariate in config.cohort.covariates.items():
        columns[name] = NUMBER if covariate.type == "continuous" else TEXT
        if covariate.levels:
            columns[name] = {"enum": list(covariate.levels)}
    row = an_object(columns, tuple(config.cohort.covariates)) | {"additionalProperties": True}
    title = "A row of the patient sheet; columns that are not listed are not read"
    return {"$schema": DRAFT, "title": title, **row}
