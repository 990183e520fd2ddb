"""Reading a configuration file: YAML, environment variables, validation, messages for people."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError

from survfuse.config import Config
from survfuse.errors import UserInputError

MERGE = "tag:yaml.org,2002:merge"  # the key <<, whose keys may be given again to change them


def load(path: str | Path) -> Config:
    """Read and validate a configuration file.

    Raises UserInputError naming the file, the key and the problem. `${NAME}` in a string is
    replaced by the environment variable NAME.
    """
    path = Path(path)
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise UserInputError(f"{path}: expected a mapping of sections, found {type(raw).__name__}")
    try:
        return Config.model_validate(expand_variables(raw, path))
    except ValidationError as error:
        raise UserInputError(readable(error, path)) from None


class UniqueKeySafeLoader(yaml.SafeLoader):
    """YAML in which a key may be given once; its own rule is that the last one wins, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            earlier = first.setdefault(key.value, key)
            if earlier is not key:
                line = earlier.start_mark.line + 1
                problem = f"the key {key.value!r} is in line {line} already; keep one of them"
                raise ConstructorError(problem=problem, problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises UserInputError with line and remedy."""
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), UniqueKeySafeLoader)
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such configuration file; correct the path") from None
    except IsADirectoryError:
        raise UserInputError(f"{path}: is a directory; name the YAML file in it") from None
    except OSError as error:
        told = error.strerror or str(error)
        raise UserInputError(f"{path}: cannot be read: {told}; check the path") from None
    except UnicodeDecodeError:
        raise UserInputError(
            f"{path}: is not UTF-8 text; save it as YAML with the encoding UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        reason = error.problem or error.context
        raise UserInputError(f"{path}{line}: not readable as YAML: {reason}") from None
    except (yaml.YAMLError, ValueError) as error:  # such as a date with a thirteenth month
        raise UserInputError(f"{path}: not readable as YAML: {error}") from None


def expand_variables(value: Any, path: Path) -> Any:
    """Replace `${NAME}` in all strings of a nested structure."""
    if isinstance(value, dict):
        return {key: expand_variables(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [expand_variables(item, path) for item in value]
    if not isinstance(value, str):
        return value

    def substitute(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise UserInputError(
                f"{path}: uses ${{{name}}}, which is not set; run `export {name}=...` first"
            )
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", substitute, value)


def readable(error: ValidationError, path: Path) -> str:
    """One line per problem: file, key, what is wrong, what was found."""
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "configuration"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "unknown key; see docs/configuration.md for the known ones"
        elif problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
            found = type(problem["input"]).__name__
            message = f"expected keys with values, found {found}; see docs/configuration.md"
        lines.append(f"{path}: {key}: {message}")
    return "\n".join(lines)
