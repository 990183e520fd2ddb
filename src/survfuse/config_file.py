"""Reading a configuration file: YAML, environment variables, validation, messages for people."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from survfuse.config import Config
from survfuse.errors import UserInputError


def load(path: str | Path) -> Config:
    """Read and validate a configuration file.

    Raises UserInputError naming the file, the key and the problem. `${NAME}` in a string is
    replaced by the environment variable NAME.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserInputError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserInputError(f"{path}: expected a mapping of sections, found {type(raw).__name__}")
    try:
        return Config.model_validate(expand_variables(raw, path))
    except ValidationError as error:
        raise UserInputError(readable(error, path)) from None


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
        lines.append(f"{path}: {key}: {message}")
    return "\n".join(lines)
