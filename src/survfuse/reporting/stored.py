"""The JSON files that earlier stages left: the evaluation, and what every model was made of."""

from __future__ import annotations

from typing import Any

from survfuse.artifacts.evaluation import Leaderboard
from survfuse.artifacts.layout import ModelsFolder, fold_name
from survfuse.artifacts.study import CrossValidation
from survfuse.core.files import read_object


def read_fits(
    models: ModelsFolder, evaluation: Leaderboard, study: CrossValidation
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
