"""The files that a model may read, from the options of a command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from survfuse.core.errors import UserInputError

if TYPE_CHECKING:
    from survfuse.config.study import Config
    from survfuse.modalities.paths import InputPaths


def input_paths(given: argparse.Namespace, config: Config) -> InputPaths:
    """The files of the options PATIENTS; none of them holds a test outcome.

    Raises UserInputError where an input has no known name, is named twice or is not there.
    """
    from survfuse.modalities.paths import InputPaths

    return InputPaths(
        given.splits,
        given.clinical,
        named_inputs(given.input),
        given.synthesis,
        config.imaging.visit,
    )


def named_inputs(given: list[tuple[str, Path]]) -> dict[str, Path]:
    """What `--input NAME=PATH` says, by name. Raises UserInputError as `input_paths` does."""
    from survfuse.modalities.registry import SOURCES

    files: dict[str, Path] = {}
    for name, path in given:
        if name not in SOURCES:
            known = ", ".join(SOURCES)
            raise UserInputError(f"--input {name}={path}: there is no {name!r}; known are {known}")
        if name in files:
            raise UserInputError(f"--input {name}={path}: {name} is {files[name]} already")
        if not path.exists():
            raise UserInputError(
                f"{path}: there is no such file; correct the path in --input {name}=PATH, or run "
                "the command that writes it"
            )
        files[name] = path
    return files
