"""The explanation stage: what moved the estimates of one row, fold by fold."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from survfuse.artifacts.explanations import write_explanations
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.paths import InputPaths
from survfuse.models.classical.average import is_average
from survfuse.models.specs import find_model, spec_of
from survfuse.tasks.loading import task_of
from survfuse.training.predict import read_matching, tested_folds

log = logging.getLogger(__name__)


def explain_model(
    config: Config,
    name: str,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    out: Path,
    device: str = "auto",
) -> None:
    """Explain the out-of-fold predictions of a row, of the first repeat.

    Raises UserInputError for a row of a kind, or of a task, that is not explained.
    """
    model = find_model(config, name)
    if not spec_of(model).explanation:
        raise UserInputError(f"models.{name}: estimates of {model.kind} are not explained")
    if not task_of(config).attributed:
        raise UserInputError(f"models.{name}: {config.cohort.why_task}; that is not explained")
    explain = import_module(spec_of(model).explanation).explain
    explained = []
    for fold in tested_folds(config, name, fold_directories, paths, models_directory, device):
        fitted = read_matching(name, fold.fitted)
        # Of what is the same for everybody there is nothing to explain.
        if fold.repeat or is_average(fitted):
            continue
        explained.append(explain(config, model, fitted, fold, device))
        log.info("fold %d: %d patients explained", fold.number, len(fold.patient_ids))
    write_explanations(out, explained)
