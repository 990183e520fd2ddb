"""What the rows of a leaderboard are, read and repeat, from the configuration and the registry.

For training, evaluation and reports alike. Importing it imports no model, and so neither PyTorch
nor scikit-survival.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import MODALITIES, VOLUMES
from survfuse.models.registry import ModelSpec, all_kinds
from survfuse.tasks.registry import declared

if TYPE_CHECKING:
    from survfuse.models.estimator import Estimator


def spec_of(model: ModelConfig) -> ModelSpec:
    """The specification of a row; some read what their `options.modalities` says.

    Raises UserInputError naming the row if there is no such kind, or the list of modalities is
    not one.
    """
    known = all_kinds()
    if model.kind not in known:
        close = get_close_matches(model.kind.lower(), known, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise UserInputError(
            f"models.{model.name}: there is no model {model.kind!r}; {meant}known are "
            f"{', '.join(known)}"
        )
    spec = known[model.kind]
    if spec.chooses and "modalities" in model.options:
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


def find_model(config: Config, name: str) -> ModelConfig:
    """The configuration of a leaderboard row."""
    for model in config.models:
        if model.name == name:
            return model
    raise UserInputError(f"there is no model {name!r} in the configuration")


def estimator_of(model: ModelConfig, config: Config) -> Estimator:
    """What fits and runs a row, imported now.

    Raises UserInputError naming the row if its kind cannot do what the cohort asks for.
    """
    spec = spec_of(model)
    if config.task in spec.tasks:
        return spec.load(config.task)
    able = ", ".join(name for name, kind in all_kinds().items() if config.task in kind.tasks)
    raise UserInputError(
        f"models.{model.name}: {config.cohort.why_task}, which {model.kind} is not made for; "
        f"use one of {able}"
    )


def parts_of(model: ModelConfig) -> list[str]:
    """The rows that a row averages, as its options name them; none for any other kind of row."""
    kind = all_kinds().get(model.kind)
    named = model.options.get("parts") if kind and kind.averages else None
    return [str(part) for part in named] if isinstance(named, list) else []


def reads_of(model: ModelConfig, models: Sequence[ModelConfig]) -> tuple[str, ...]:
    """The modalities of a row; an average reads what those of `models` read that it averages."""
    spec = spec_of(model)
    if not spec.averages:
        return spec.reads
    named = parts_of(model)
    read = [name for part in models if part.name in named for name in spec_of(part).reads]
    return tuple(dict.fromkeys(read))


def fit_settings(model: ModelConfig, config: Config) -> str:
    """Hash of the settings that a fitted row depends on: of training, the cohort and its inputs."""
    read = [MODALITIES[name] for name in reads_of(model, config.models) if name in MODALITIES]
    scaling = {entry.scaled_by for entry in read if entry.scaled_by}
    return config.settings_hash("training", "cohort", *scaling, model=model.name)


def has_job_per_fold(model: ModelConfig, config: Config) -> bool:
    """Whether each fold of a row is fitted by a job of its own, not all of them by one."""
    return spec_of(model).network and not config.training.folds_in_one_job


def stopped_by_validation(model: ModelConfig, config: Config) -> bool:
    """Whether a row is a network that its validation patients stop, and so do not train."""
    spec = spec_of(model)
    return spec.network and not spec.solved and config.training.stop == "validation"


def repeats_of(model: ModelConfig, config: Config) -> int:
    """How many repeats of the folds a row is fitted in, the first ones.

    An average those that all its parts are fitted in, as it averages their predictions.
    """
    spec, repeats = spec_of(model), config.splits.repeats
    if spec.network and model.repeats is None:
        repeats = min(repeats, config.training.repeats)
    named = parts_of(model)
    parts = [row for row in config.models if row.name in named and not spec_of(row).averages]
    repeats = min([repeats, *(repeats_of(part, config) for part in parts)])
    return repeats if model.repeats is None else min(repeats, model.repeats)


def reads_synthesised(model: ModelConfig, models: Sequence[ModelConfig]) -> bool:
    """Whether a row, or one that it averages, reads synthesised volumes for want of real ones."""
    spec, named = spec_of(model), parts_of(model)
    if any(reads_synthesised(row, ()) for row in models if row.name in named):
        return True
    return bool(spec.absent) and model.options.get("absent", spec.absent) == "synthesise"


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
    spec = spec_of(model)
    return spec.labelled(model.options) if spec.labelled else spec.label


def explained_model(config: Config) -> ModelConfig | None:
    """The row whose estimates are explained: that of the patient pages, if its kind can be.

    Without `report.model` it is the first such row that combines modalities.
    """
    return shown_model(config, lambda spec: bool(spec.explanation))


def mapped_model(config: Config) -> ModelConfig | None:
    """The network of the patient pages, or else the first one, whose volumes are mapped."""
    if not declared(config.task, "task").maps_volumes:
        return None
    return shown_model(config, lambda spec: spec.network and bool(set(spec.reads) & set(VOLUMES)))


def shown_model(config: Config, can: Callable[[ModelSpec], bool]) -> ModelConfig | None:
    """The row that patient pages are to show, if its kind can; or the first one that can."""
    named = [model for model in config.models if model.name == config.report.model]
    for model in named or config.models:
        if can(spec_of(model)) and (
            named or (len(spec_of(model).reads) > 1 and not model.permute_outcomes)
        ):
            return model
    return None
