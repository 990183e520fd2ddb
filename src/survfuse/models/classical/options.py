"""The options of rows that are no networks: which there are, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from survfuse.config.cohort import CohortConfig, Covariate
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError

LISTS = ("modalities", "covariates")  # what a row reads, each all unless configured otherwise


@dataclass(frozen=True)
class Option:
    """Default and inclusive range of a number; the type of the default is the type."""

    default: int | float
    least: int | float
    most: int | float


def settings_of(model: ModelConfig, known: Mapping[str, Option]) -> dict[str, Any]:
    """The options of a row that are numbers, the ones not given at their defaults.

    Raises UserInputError naming the row where one is unknown, mistyped or out of range.
    """
    settings: dict[str, Any] = {name: option.default for name, option in known.items()}
    for name, value in model.options.items():
        if name in LISTS:
            continue
        if name not in known:
            raise UserInputError(
                f"models.{model.name}: {model.kind} has no option {name!r}; its options are "
                f"{', '.join([*LISTS, *known])}"
            )
        option = known[name]
        whole = isinstance(option.default, int)
        fits = type(value) is int or (type(value) is float and not whole)
        if not fits or not option.least <= value <= option.most:
            raise UserInputError(
                f"models.{model.name}: options.{name} must be a {'whole ' if whole else ''}number "
                f"from {option.least} to {option.most}, found {value!r}"
            )
        settings[name] = value
    return settings


def refuse_others(model: ModelConfig, *known: str) -> None:
    """Raise UserInputError naming the row where it has an option that its kind does not know."""
    if unknown := [name for name in model.options if name not in known]:
        listed = f"its only option is {known[0]}" if known else "it has none"
        raise UserInputError(
            f"models.{model.name}: {model.kind} has no option {unknown[0]!r}; {listed}"
        )


def covariates_of(model: ModelConfig, cohort: CohortConfig) -> dict[str, Covariate]:
    """The covariates that a row names in its options, or all that are declared.

    Raises UserInputError naming the row where it names others.
    """
    named = model.options.get("covariates", list(cohort.covariates))
    if not isinstance(named, list) or not set(named) <= set(cohort.covariates):
        raise UserInputError(
            f"models.{model.name}: options.covariates must list columns that are declared "
            f"under cohort.covariates; found {named!r}"
        )
    return {name: cohort.covariates[name] for name in named}


def with_covariates_of(model: ModelConfig, config: Config) -> Config:
    """The configuration as if it declared the covariates that a row reads, and no others."""
    covariates = covariates_of(model, config.cohort)
    cohort = config.cohort.model_copy(update={"covariates": covariates})
    return config.model_copy(update={"cohort": cohort})
