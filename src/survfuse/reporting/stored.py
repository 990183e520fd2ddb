"""The JSON files that earlier stages left: the evaluation, and what every model was made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from survfuse.artifacts.layout import ModelsFolder, fold_name
from survfuse.artifacts.study import CrossValidation
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json


def read_fits(
    models: ModelsFolder, evaluation: Mapping[str, Any], study: CrossValidation
) -> tuple[dict[str, Any], ...]:
    """What the evaluated models were made of, in the folds of the splits.

    Folders of rows and folds that an earlier run had and this one lacks are left unread.
    """
    found = (
        models.fit(row["model"], fold_name(fold.repeat, fold.fold)).description
        for row in evaluation["rows"]
        for fold in study.folds
    )
    return tuple(read_object(path) for path in found if path.is_file())


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; raises UserInputError naming the file."""
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file; run the stage that writes it") from None
    except ValueError as error:
        raise UserInputError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserInputError(f"{path}: expected an object, found {type(value).__name__}")
    return value
