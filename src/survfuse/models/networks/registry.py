"""The fusion models by name. Adding one: a file in this folder and a line in MODELS.

Reading the table costs nothing: a model's file, and with it PyTorch, is imported when it is built.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from survfuse.core.errors import UserInputError
from survfuse.models.networks.dispro.label import label as label_of_dispro

if TYPE_CHECKING:
    from survfuse.models.networks.interface import FusionModel, Shapes


@dataclass(frozen=True)
class Entry:
    """Where a model is defined, how reports call it, and the modalities it reads, in order.

    `any_task`: whether it can be fitted for every task, as it asks of targets what those of all
    tasks have (`interface.Targets`); the others read follow-up and estimate survival alone.
    `solved`: whether its weights are solved for, with all training patients, and not trained.
    `absent`: the default of its option of that name, where it has one. `chooses`: whether the
    option `modalities` of a row may name others that it reads instead. `labelled`: how reports call
    it where that depends on its options.
    """

    file: str
    name: str
    label: str
    reads: tuple[str, ...]
    any_task: bool = False
    absent: str = ""
    chooses: bool = False
    solved: bool = False
    labelled: Callable[[Mapping[str, Any]], str] | None = None

    def load(self) -> type[FusionModel]:
        """The class, imported now."""
        model: type[FusionModel] = getattr(
            import_module(f"survfuse.models.networks.{self.file}"), self.name
        )
        return model


MODELS: dict[str, Entry] = {
    "abmil": Entry("abmil", "ABMIL", "ABMIL (slides)", ("slides",), True),
    "cmta": Entry("cmta", "CMTA", "CMTA", ("slides", "omics")),
    "concat": Entry(
        *("concat", "Concatenation", "Concatenation", ("slides", "omics", "clinical"), True),
        chooses=True,
    ),
    "dispro": Entry(
        *("dispro.model", "DisPro", "DisPro-prototype", ("slides", "omics")),
        labelled=label_of_dispro,
    ),
    "itcfn": Entry("itcfn", "ITCFN", "ITCFN", ("mri", "pet", "clinical"), True, "synthesise"),
    "mcat": Entry("mcat", "MCAT", "MCAT", ("slides", "omics")),
    "mmp": Entry("mmp", "MMP", "MMP-style", ("slides", "omics")),
    "mri_cnn": Entry("mri_cnn", "MRIConvolution", "MRI CNN", ("mri",), True),
    "pibd": Entry("pibd.model", "PIBD", "PIBD", ("slides", "omics")),
    "snn": Entry("snn", "SNN", "SNN (genes)", ("omics",), True),
    "sparse_factors": Entry(
        *("sparse_factors.model", "SparseFactors", "Sparse factors"),
        ("slides", "omics", "clinical"),
        solved=True,
    ),
    "survpath": Entry("survpath", "SurvPath", "SurvPath-style", ("slides", "omics")),
    "transmil": Entry("transmil", "TransMIL", "TransMIL (slides)", ("slides",), True),
}


def options_of(kind: str) -> dict[str, Any]:
    """The options of a registered model with their defaults."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(MODELS[kind].load()).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
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
    reads = MODELS[kind].reads
    if MODELS[kind].chooses:
        reads = tuple(options.pop("modalities", reads))
    known = options_of(kind)
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
        if MODELS[kind].chooses:
            for name in reads:
                shapes.dim(name)
            tokens = {name: shapes.tokens[name] for name in reads}
            shapes = replace(shapes, tokens=tokens)
        return MODELS[kind].load()(shapes, **options)
    except ValueError as error:
        raise UserInputError(f"model {kind}: {error}") from error
