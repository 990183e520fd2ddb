"""The specification of every kind of model: its label, its family, and the modalities it reads.

The networks of the fusion registry and the other rows of a leaderboard in one table, for training,
evaluation and reports alike. Importing it imports no model, and so neither PyTorch nor
scikit-survival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from survfuse.config.imaging import IMAGES
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import MODALITIES
from survfuse.models.networks.dispro.label import label as dispro_label
from survfuse.models.networks.registry import MODELS

Family = Literal["site", "clinical", "network", "late", "classical"]
Task = Literal["survival", "diagnosis"]
BOTH: tuple[Task, ...] = ("survival", "diagnosis")

TABULAR = ("clinical", "omics", "slides")  # what classical models read unless configured otherwise


@dataclass(frozen=True)
class ModelSpec:
    """A kind of model as a configuration names it.

    `label`: its name in reports. `reads`: modalities in the order that reports list them; empty for
    a late fusion (see `reads_of`). `tasks`: those it can be fitted for.
    """

    label: str
    family: Family
    reads: tuple[str, ...]
    tasks: tuple[Task, ...] = ("survival",)


NOT_NETWORKS = {
    "site_only": ModelSpec("Site only", "site", ("site",), BOTH),
    "clinical_cox": ModelSpec("Clinical Cox", "clinical", ("clinical",)),
    "late_fusion": ModelSpec("Late fusion", "late", (), BOTH),
    "coxnet": ModelSpec("Elastic-net Cox", "classical", TABULAR),
    "rsf": ModelSpec("Random survival forest", "classical", TABULAR),
    "boosting": ModelSpec("Gradient boosting", "classical", TABULAR),
    "logistic": ModelSpec("Logistic regression", "classical", ("clinical",), ("diagnosis",)),
}


def all_specs() -> dict[str, ModelSpec]:
    """All specifications by the `kind` of a configuration, the networks last."""
    networks = {
        name: ModelSpec(
            entry.label, "network", entry.reads, BOTH if entry.diagnoses else ("survival",)
        )
        for name, entry in sorted(MODELS.items())
    }
    return {**NOT_NETWORKS, **networks}


def spec_of(model: ModelConfig) -> ModelSpec:
    """The specification of a row; some read what their `options.modalities` says.

    Raises UserInputError naming the row if there is no such kind, or the list of modalities is
    not one.
    """
    known = all_specs()
    if model.kind not in known:
        close = get_close_matches(model.kind.lower(), known, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise UserInputError(
            f"models.{model.name}: there is no model {model.kind!r}; {meant}known are "
            f"{', '.join(known)}"
        )
    spec = known[model.kind]
    chooses = MODELS[model.kind].chooses if model.kind in MODELS else spec.family == "classical"
    if chooses and "modalities" in model.options:
        return replace(spec, reads=checked_modalities(model.name, model.options["modalities"]))
    return spec


def checked_modalities(row: str, listed: Any) -> tuple[str, ...]:
    """The option `modalities` of a row. Raises UserInputError unless it lists known ones, once."""
    fits = isinstance(listed, list) and listed and all(name in tuple(MODALITIES) for name in listed)
    if not fits or len(set(listed)) < len(listed):
        raise UserInputError(
            f"models.{row}: options.modalities must list some of {', '.join(MODALITIES)}, each "
            f"once; found {listed!r}"
        )
    return tuple(listed)


def reads_of(model: ModelConfig, models: Sequence[ModelConfig]) -> tuple[str, ...]:
    """The modalities of a row; a late fusion reads what those of `models` read that it averages."""
    spec = spec_of(model)
    if spec.family != "late":
        return spec.reads
    named = model.options.get("parts") or []
    read = [name for part in models if part.name in named for name in spec_of(part).reads]
    return tuple(dict.fromkeys(read))


def repeats_of(model: ModelConfig, config: Config) -> int:
    """How many repeats of the folds a row is fitted in, the first ones.

    A late fusion those that all its parts are fitted in, as it averages their predictions.
    """
    family, repeats = spec_of(model).family, config.splits.repeats
    if family == "network" and model.repeats is None:
        repeats = min(repeats, config.training.repeats)
    if family == "late":
        named = model.options.get("parts") or []
        parts = [row for row in config.models if row.name in named and row.kind != model.kind]
        repeats = min([repeats, *(repeats_of(part, config) for part in parts)])
    return repeats if model.repeats is None else min(repeats, model.repeats)


def reads_synthesised(model: ModelConfig, models: Sequence[ModelConfig]) -> bool:
    """Whether a row, or one that it averages, reads synthesised volumes for want of real ones."""
    if spec_of(model).family == "late":
        named = model.options.get("parts") or []
        return any(reads_synthesised(row, ()) for row in models if row.name in named)
    policy = MODELS[model.kind].absent if model.kind in MODELS else ""
    return bool(policy) and model.options.get("absent", policy) == "synthesise"


def read_modalities(config: Config) -> tuple[str, ...]:
    """What the rows of a leaderboard read, in the order of MODALITIES.

    All of them where a row is faulty, so that nobody is left out for its sake.
    """
    try:
        read = {name for model in config.models for name in reads_of(model, config.models)}
    except (UserInputError, TypeError):
        return tuple(MODALITIES)
    return tuple(name for name in MODALITIES if name in read)


def label_of(model: ModelConfig) -> str:
    """The name of a row in reports: the label of its kind where it is named so, else its own."""
    if model.name != model.kind:
        return model.name
    return dispro_label(model.options) if model.kind == "dispro" else spec_of(model).label


def explained_model(config: Config) -> ModelConfig | None:
    """The network whose estimates are explained: that of the patient pages, if it is one.

    Without `report.model` it is the first network that combines modalities.
    """
    named = [model for model in config.models if model.name == config.report.model]
    for model in named or config.models:
        network = spec_of(model).family == "network"
        if network and (named or (len(spec_of(model).reads) > 1 and not model.permute_outcomes)):
            return model
    return None


def mapped_model(config: Config) -> ModelConfig | None:
    """The network of the patient pages, if it makes diagnoses and reads volumes."""
    model = explained_model(config) if config.task == "diagnosis" else None
    reads = spec_of(model).reads if model else ()
    return model if any(image in reads for image in IMAGES) else None
