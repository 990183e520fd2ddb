"""Every kind of model by name: how pages call it, its family, and the modalities it reads.

The networks of the fusion registry and the other rows of a leaderboard in one table, for training,
evaluation and reports alike. Importing it imports no model, and so neither PyTorch nor
scikit-survival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from survfuse.config import Config, ModelConfig
from survfuse.config_imaging import IMAGES
from survfuse.errors import UserInputError
from survfuse.fusion.dispro_label import label as dispro_label
from survfuse.fusion.registry import MODELS

Family = Literal["site", "clinical", "network", "late", "classical"]
Task = Literal["survival", "diagnosis"]
BOTH: tuple[Task, ...] = ("survival", "diagnosis")

MODALITIES = ("clinical", "omics", "slides", "mri", "pet")
TABULAR = ("clinical", "omics", "slides")  # what classical models read unless told otherwise


@dataclass(frozen=True)
class Kind:
    """`reads`: modalities in the order they are told; empty for a late fusion (see `reads_of`).

    `tasks`: what it can be asked for.
    """

    label: str
    family: Family
    reads: tuple[str, ...]
    tasks: tuple[Task, ...] = ("survival",)


NOT_NETWORKS = {
    "site_only": Kind("Site only", "site", ("site",), BOTH),
    "clinical_cox": Kind("Clinical Cox", "clinical", ("clinical",)),
    "late_fusion": Kind("Late fusion", "late", (), BOTH),
    "coxnet": Kind("Elastic-net Cox", "classical", TABULAR),
    "rsf": Kind("Random survival forest", "classical", TABULAR),
    "boosting": Kind("Gradient boosting", "classical", TABULAR),
    "logistic": Kind("Logistic regression", "classical", ("clinical",), ("diagnosis",)),
}


def all_kinds() -> dict[str, Kind]:
    """All kinds by the name that a configuration gives them, the networks last."""
    networks = {
        name: Kind(entry.label, "network", entry.reads, BOTH if entry.diagnoses else ("survival",))
        for name, entry in sorted(MODELS.items())
    }
    return {**NOT_NETWORKS, **networks}


def kind_of(model: ModelConfig) -> Kind:
    """The kind of a row; a classical model reads what its `options.modalities` says.

    Raises UserInputError naming the row if there is no such kind, or the list of modalities is
    not one.
    """
    known = all_kinds()
    if model.kind not in known:
        raise UserInputError(
            f"models.{model.name}: there is no model {model.kind!r}; known are {', '.join(known)}"
        )
    kind = known[model.kind]
    if kind.family == "classical" and "modalities" in model.options:
        return replace(kind, reads=checked_modalities(model.name, model.options["modalities"]))
    return kind


def checked_modalities(row: str, listed: Any) -> tuple[str, ...]:
    """The option `modalities` of a row. Raises UserInputError unless it lists known ones, once."""
    fits = isinstance(listed, list) and listed and all(name in MODALITIES for name in listed)
    if not fits or len(set(listed)) < len(listed):
        raise UserInputError(
            f"models.{row}: options.modalities must list some of {', '.join(MODALITIES)}, each "
            f"once; found {listed!r}"
        )
    return tuple(listed)


def reads_of(model: ModelConfig, models: Sequence[ModelConfig]) -> tuple[str, ...]:
    """The modalities of a row; a late fusion reads what those of `models` read that it averages."""
    kind = kind_of(model)
    if kind.family != "late":
        return kind.reads
    named = model.options.get("parts") or []
    read = [name for part in models if part.name in named for name in kind_of(part).reads]
    return tuple(dict.fromkeys(read))


def label_of(model: ModelConfig) -> str:
    """How pages call a row: by its kind where it bears the kind's name, else by its own name."""
    if model.name != model.kind:
        return model.name
    return dispro_label(model.options) if model.kind == "dispro" else kind_of(model).label


def explained_model(config: Config) -> ModelConfig | None:
    """The network whose estimates are explained: that of the patient pages, if it is one.

    Without `report.model` it is the first network that combines modalities.
    """
    named = [model for model in config.models if model.name == config.report.model]
    for model in named or config.models:
        network = kind_of(model).family == "network"
        if network and (named or (len(kind_of(model).reads) > 1 and not model.permute_outcomes)):
            return model
    return None


def mapped_model(config: Config) -> ModelConfig | None:
    """The network of the patient pages, if it makes diagnoses and reads volumes."""
    model = explained_model(config) if config.task == "diagnosis" else None
    reads = kind_of(model).reads if model else ()
    return model if any(image in reads for image in IMAGES) else None
