"""From what a YAML file holds to what the fields of the configuration want, before validation.

Unquoted words that YAML takes for numbers or for true and false are words where words are wanted.
In paths `~` and `${NAME}` are replaced, and in nothing else: a value of the environment may be a
secret, and texts reach reports that are passed on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from survfuse.config.section import Section
from survfuse.config.yaml_text import Plain
from survfuse.core.accents import composed
from survfuse.core.user_paths import expand_home, expand_variables, variables_in

PATH_OPTIONS = frozenset({"text_encoder"})  # options of models that may name a path

Place = tuple[str | int, ...]  # the keys, and numbers in lists, that lead to a value


@dataclass(frozen=True)
class Found:
    """What was met on the way: names of the variables that paths use, and faults by place."""

    variables: set[str] = field(default_factory=set)
    faults: list[tuple[Place, str]] = field(default_factory=list)


def alternatives(annotation: Any) -> Iterator[Any]:
    """The types that a field can be of, None left out."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from alternatives(arguments[0])
    elif origin in (Union, UnionType):
        for argument in arguments:
            yield from alternatives(argument)
    elif annotation is not NoneType:
        yield annotation


def sections_of(annotation: Any, value: Any) -> list[type[Section]]:
    """The sections that a field can hold; of those told apart by `kind`, the one of the value."""
    sections = [
        kind
        for kind in alternatives(annotation)
        if isinstance(kind, type) and issubclass(kind, Section)
    ]
    kind = value.get("kind") if isinstance(value, dict) else None
    return [section for section in sections if kind in kinds_named(section)] or sections


def kinds_named(section: type[BaseModel]) -> tuple[Any, ...]:
    """The values that the key `kind` of a section may have, where it lists them."""
    named = section.model_fields.get("kind")
    return get_args(named.annotation) if named else ()


def type_below(annotation: Any, part: str | int, value: Any = None) -> Any:
    """The type of what a field holds under a key or number; Any where that is not said.

    `value`: what the field holds, which decides between kinds of a section.
    """
    for section in sections_of(annotation, value):
        if part in section.model_fields:
            return section.model_fields[str(part)].annotation
    for kind in alternatives(annotation):
        if get_origin(kind) is dict:
            return Path if part in PATH_OPTIONS else get_args(kind)[1]
        if get_origin(kind) in (list, tuple) and isinstance(part, int):
            return get_args(kind)[0]
    return Any


def fit_to_field(value: Any, annotation: Any, found: Found, place: Place = ()) -> Any:
    """A value of the file as a field of this type wants it; what does not fit is left as it is."""
    if isinstance(value, list):
        return [
            fit_to_field(item, type_below(annotation, number), found, (*place, number))
            for number, item in enumerate(value)
        ]
    if isinstance(value, dict):
        named = {word_of(key): item for key, item in value.items()}
        return {
            key: fit_to_field(item, type_below(annotation, key, named), found, (*place, key))
            for key, item in named.items()
        }
    kinds = list(alternatives(annotation))
    if isinstance(value, Plain):
        words = any(kind in (str, Path) or get_origin(kind) is Literal for kind in kinds)
        if not words or type(value.value) in kinds:
            return value.value
        value = str(value)
    if not isinstance(value, str):
        return value
    try:
        if Path not in kinds:
            return composed(without_variables(value))
        path = path_of(value, found.variables)
        return path if "roots" in place else without_braces(path)  # no rule names a root
    except ValueError as error:
        found.faults.append((place, str(error)))
        return "unusable" if Path in kinds else value


def word_of(key: Any) -> Any:
    """A key, such as the name of a column, as the columns of sheets are read."""
    return composed(key) if isinstance(key, str) else key


def path_of(text: str, variables: set[str]) -> str:
    """A path with its environment variables and the home directory put in."""
    variables.update(variables_in(text))
    return expand_home(expand_variables(text, dict(os.environ)))


def without_braces(text: str) -> str:
    """The path. Raises ValueError for braces: Snakemake takes them for a placeholder."""
    if "{" in text or "}" in text:
        raise ValueError(
            "has a brace, which Snakemake takes for a placeholder; rename the file or folder, or "
            "start the run inside that folder and name the path from there"
        )
    return text


def without_variables(text: str) -> str:
    """The text. Raises ValueError where it asks for an environment variable."""
    if named := variables_in(text):
        raise ValueError(
            f"asks for the environment variable {named[0]}, and variables are replaced in paths "
            "only; write the value itself"
        )
    return text
