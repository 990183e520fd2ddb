"""Loading a configuration file: YAML, paths, validation, and every problem told at once."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from survfuse.config.fields import Found, fit_to_field
from survfuse.config.messages import faults_of, report
from survfuse.config.study import Config
from survfuse.config.writable import faults_of_places
from survfuse.config.yaml_text import read_yaml
from survfuse.core.errors import UserInputError


def read_config(path: str | Path) -> Config:
    """Read and validate a configuration file.

    In paths `~` and `${NAME}` are replaced; `Config.variables` has the names of the environment
    variables that were used. Raises UserInputError with a line per problem: file, line, key, what
    is wrong and what to write.
    """
    path = Path(path)
    document = read_yaml(path)
    raw = document.content
    if raw is None:
        raise UserInputError(
            f"{path}: is empty; `survfuse init` writes a configuration for your sheets"
        )
    if not isinstance(raw, dict):
        raise UserInputError(
            f"{path}: expected sections such as `name: mine`, found {type(raw).__name__}; see "
            "docs/reference/configuration.md"
        )
    found = Found()
    values = fit_to_field(raw, Config, found)
    try:
        config = Config.model_validate(values).with_variables(found.variables)
    except ValidationError as error:
        faults = [*found.faults, *faults_of(error, values)]
    else:
        faults = found.faults or faults_of_places(config)
    if faults:
        raise UserInputError(report(faults, path, document))
    return config
