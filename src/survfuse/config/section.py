"""What all sections of the configuration share."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

Kind = TypeVar("Kind", bound=BaseModel)


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values never change after loading.

    Numbers are finite: `.nan` passes comparisons such as "is increasing" and fails after training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def value_at(section: BaseModel, place: str) -> Any:
    """The value under keys with dots between them; None where there is no such section."""
    value: Any = section
    for key in place.split("."):
        value = getattr(value, key, None)
    return value


def with_value(section: Kind, place: str, value: Any) -> Kind:
    """The section with another value under keys with dots between them, where there is one."""
    key, _, inside = place.partition(".")
    held = getattr(section, key)
    if inside and not isinstance(held, BaseModel):
        return section
    return section.model_copy(update={key: with_value(held, inside, value) if inside else value})
