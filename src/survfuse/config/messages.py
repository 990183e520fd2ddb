"""What is wrong with a configuration, in sentences that name the key and what to write."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from survfuse.config.fields import Place, alternatives, sections_of, type_below
from survfuse.config.section import Section
from survfuse.config.study import Config
from survfuse.config.yaml_text import Document

SEE = "see docs/reference/configuration.md"
SHOWN_KEYS = 12
SHOWN_CHARACTERS = 40
WORDS: dict[Any, tuple[str, str]] = {  # one, several
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "values true or false"),
    str: ("text", "texts"),
    Path: ("a path", "paths"),
}
KEYS = "keys with values"
# Old names of keys and values, so that a message can name the new ones.
RENAMED_KEYS = {"splits.inner_fraction": "splits.validation_fraction"}
RENAMED_VALUES = {("training.stop", "inner"): "validation"}


def report(faults: Sequence[tuple[Place, str]], path: Path, document: Document) -> str:
    """A line per fault, in the order of the file: file, line, key, what is wrong, what to write."""
    placed = [(document.line_of(place) or 0, place, told) for place, told in faults]
    lines = []
    for line, place, told in sorted(placed, key=lambda fault: fault[0]):
        where = f"{path}, line {line}: " if line else f"{path}: "
        lines.append(where + (f"{dotted(place)}: " if place else "") + told)
    return "\n".join(dict.fromkeys(lines))


def faults_of(error: ValidationError, raw: Any) -> list[tuple[Place, str]]:
    """What validation found, by place, in sentences."""
    found = [(place_of(problem, raw), problem) for problem in error.errors()]
    return [
        (place, told)
        for place, problem in most_telling(found, raw)
        for told in sentence(place, problem, raw)
    ]


def place_of(problem: ErrorDetails, raw: Any) -> Place:
    """The keys that lead to a problem; names that pydantic gives to alternatives are left out."""
    here, place = raw, []
    for part in problem["loc"]:
        there = part in here if isinstance(here, dict) else part in range(length_of(here))
        if not there and (problem["type"] != "missing" or part != problem["loc"][-1]):
            continue
        here = value_at(here, part)
        place.append(part)
    return tuple(place)


def most_telling(
    found: Sequence[tuple[Place, ErrorDetails]], raw: Any
) -> Iterator[tuple[Place, ErrorDetails]]:
    """The problems without those that only say that another alternative of a type does not fit."""
    places = [place for place, _ in found]
    seen = {place for place, problem in found if problem["type"] == "value_error"}
    for place, problem in found:
        if problem["type"] in ("missing", "extra_forbidden", "value_error"):
            yield place, problem
            continue
        inside = any(other[: len(place)] == place != other for other in places)
        several = len(list(alternatives(type_at(place, raw)))) > 1
        if (several and inside) or place in seen:
            continue
        seen.add(place)
        yield place, problem


def dotted(place: Place) -> str:
    """`models[2].kind` for (models, 2, kind)."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def sentence(place: Place, problem: ErrorDetails, raw: Any) -> list[str]:
    """What is wrong and what to write; several sentences where sections do not fit together."""
    kind = problem["type"]
    if kind == "value_error":
        return problem["msg"].removeprefix("Value error, ").splitlines()
    if kind == "extra_forbidden":
        return [unknown_key(place, raw)]
    if kind == "missing":
        return [missing(place, raw)]
    if kind in SENTENCES:
        return [SENTENCES[kind](problem.get("ctx", {}), shown(problem["input"]))]
    if new := RENAMED_VALUES.get((dotted(place), str(problem["input"]))):
        return [f"{problem['input']} is now called {new}; write {new}"]
    expected = expected_at(place, raw)
    return [f"expected {expected}, found {shown(problem['input'])}{hint(kind, problem['input'])}"]


def bound(words: str, name: str) -> Callable[[Mapping[str, Any], str], str]:
    """The sentence for a number beyond a limit."""
    return lambda limits, found: f"must be {words} {limits[name]:g}; found {found}"


def length(limits: Mapping[str, Any], found: str) -> str:
    """The sentence for a list that is too short or too long."""
    least = limits.get("min_length", limits.get("max_length"))
    word = "at least" if "min_length" in limits else "at most"
    return f"needs {word} {least} {'entry' if least == 1 else 'entries'}; found {found}"


SENTENCES: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    "greater_than": bound("more than", "gt"),
    "greater_than_equal": bound("at least", "ge"),
    "less_than": bound("less than", "lt"),
    "less_than_equal": bound("at most", "le"),
    "finite_number": lambda _, found: f"must be a finite number; found {found}",
    "too_short": length,
    "too_long": length,
    "string_pattern_mismatch": lambda _, found: (
        "use up to 64 letters, digits, _ and -, a letter or digit first; it becomes a part of file "
        f"names; found {found}"
    ),
    "union_tag_not_found": lambda limits, _: (
        f"needs the key {str(limits['discriminator']).strip(chr(39))}; {SEE}, sections source"
    ),
    "union_tag_invalid": lambda limits, _: (
        f"kind: expected one of {limits['expected_tags']}; found {limits['tag']!r}"
        + nearest(str(limits["tag"]), str(limits["expected_tags"]).replace("'", "").split(", "))
    ),
}


def hint(kind: str, value: Any) -> str:
    """What else to say of a value of the wrong type."""
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f"; write it in quotes: '{value}'"
    if value is None:
        return "; write a value, or remove the key"
    return f"; {SEE}" if kind in ("model_type", "model_attributes_type", "dict_type") else ""


def shown(value: Any) -> str:
    """A value of the file as it is quoted in a message."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return KEYS
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value if isinstance(value, bool | int | float) else str(value))
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def type_at(place: Place, raw: Any) -> Any:
    """The type of the field at a place; Any where there is none."""
    kind, here = Config, raw
    for part in place:
        kind = type_below(kind, part, here)
        here = value_at(here, part)
    return kind


def value_at(here: Any, part: str | int) -> Any:
    """What a mapping or list holds under a key or number; None where it is something else."""
    if isinstance(here, dict):
        return here.get(part)
    if isinstance(here, list) and isinstance(part, int):
        return here[part] if part < len(here) else None
    return None


def length_of(here: Any) -> int:
    """How many entries a list has; none where it is something else."""
    return len(here) if isinstance(here, list) else 0


def expected_at(place: Place, raw: Any) -> str:
    """What a place wants, in words."""
    options = alternatives(type_at(place, raw))
    named = dict.fromkeys(name for option in options for name in names_of(option))
    return " or ".join(named) or "another value"


def names_of(kind: Any, several: bool = False) -> Iterator[str]:
    """A type in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in WORDS:
        yield WORDS[kind][several]
    elif origin is Literal:
        listed = ", ".join(map(str, arguments))
        yield f"one of {listed}" if len(arguments) > 1 else f'"{listed}"'
    elif origin is tuple:
        yield f"a list of {len(arguments)} {' or '.join(names_of(arguments[0], True))}"
    elif origin is list:
        yield f"a list of {' or '.join(names_of(arguments[0], True))}"
    elif origin is dict or (isinstance(kind, type) and issubclass(kind, Section)):
        yield KEYS


def missing(place: Place, raw: Any) -> str:
    """The sentence for a key that is not there, or a list that is too short."""
    *parents, last = place
    if isinstance(last, int):
        return f"is missing; expected {expected_at(tuple(parents), raw)}"
    for section in sections_at(tuple(parents), raw):
        if last in section.model_fields:
            return f"is missing. What it says: {section.model_fields[last].description or SEE}"
    return f"is missing; {SEE}"


def unknown_key(place: Place, raw: Any) -> str:
    """The sentence for a key that there is not, with the nearest that there is."""
    if new := RENAMED_KEYS.get(dotted(place)):
        return f"is now called {new}; rename it"
    *parents, last = place
    prefix = f"{dotted(tuple(parents))}." if parents else ""
    sections = sections_at(tuple(parents), raw)
    known = [key for section in sections for key in section.model_fields]
    key = str(last).replace("-", "_").replace(" ", "_").lower()
    if close := difflib.get_close_matches(key, known, n=1, cutoff=0.6):
        return f"unknown key; did you mean {prefix}{close[0]}?"
    everywhere = dict(all_keys(Config))
    longer = [name for name in everywhere if name.startswith(f"{key}_")]
    if close := difflib.get_close_matches(key, list(everywhere), n=1, cutoff=0.75) or longer:
        return f"unknown key here; did you mean {everywhere[close[0]]}?"
    listed = f"; the keys here are {', '.join(known)}" if 0 < len(known) <= SHOWN_KEYS else ""
    return f"unknown key{listed or f'; {SEE} for the known ones'}"


def sections_at(place: Place, raw: Any) -> list[type[Section]]:
    """The sections that there can be at a place."""
    here = raw
    for part in place:
        here = value_at(here, part)
    return sections_of(type_at(place, raw), here)


def all_keys(section: type[Section], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Name and full path of every key, those less deep in the configuration last."""
    fields = section.model_fields.items()
    for name, field in fields:
        for kind in alternatives(field.annotation):
            mark = {list: "[]", dict: ".NAME"}.get(get_origin(kind), "")
            for inner in (kind, *get_args(kind)):
                if isinstance(inner, type) and issubclass(inner, Section):
                    yield from all_keys(inner, f"{prefix}{name}{mark}.")
    yield from ((name, prefix + name) for name, _ in fields)


def nearest(text: str, known: list[str]) -> str:
    """`; did you mean ...?` where one of the known words is like the text."""
    close = difflib.get_close_matches(text, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
