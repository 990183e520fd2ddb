"""The fusion models by name. Adding one: a file in this folder and a line in MODELS."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from survfuse.errors import UserInputError
from survfuse.fusion.abmil import ABMIL
from survfuse.fusion.cmta import CMTA
from survfuse.fusion.interface import FusionModel, Shapes
from survfuse.fusion.snn import SNN

MODELS: dict[str, type[FusionModel]] = {
    "abmil": ABMIL,
    "cmta": CMTA,
    "snn": SNN,
}


def build(kind: str, shapes: Shapes, options: Mapping[str, Any] | None = None) -> FusionModel:
    """Construct a registered model with options from the configuration.

    Raises UserInputError naming the model and the option when the kind or an option is unknown, an
    option has another type than its default or is out of range (counts from 1, other numbers from
    0), or the model cannot be built for data of these shapes.
    """
    if kind not in MODELS:
        raise UserInputError(f"model {kind!r} is unknown; there are {', '.join(sorted(MODELS))}")
    options = dict(options or {})
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(MODELS[kind]).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for name, value in options.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise UserInputError(f"model {kind}: unknown option {name!r}; its options are {listed}")
        expected = type(known[name])
        if expected is float and type(value) is int:
            options[name] = float(value)
        elif type(value) is not expected:
            raise UserInputError(
                f"model {kind}: option {name} must be of type {expected.__name__}, found {value!r}"
            )
        least = {int: 1, float: 0}.get(expected)
        if least is not None and not least <= value < math.inf:
            raise UserInputError(
                f"model {kind}: option {name} must be finite and at least {least}, found {value}"
            )
    try:
        return MODELS[kind](shapes, **options)
    except ValueError as error:
        raise UserInputError(f"model {kind}: {error}") from error
