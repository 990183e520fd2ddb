"""The explanation stage: what moved the estimates of one row, fold by fold."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from survfuse.artifacts.explanations import write_explanations
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.loading import modality
from survfuse.modalities.paths import InputPaths
from survfuse.models.classical.average import is_average
from survfuse.models.specs import spec_of
from survfuse.training.predict import find_model, read_matching, tested_folds

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
    """Explain the out-of-fold predictions of a network, of the first repeat.

    Raises UserInputError for a row that is not a network.
    """
    from survfuse.core.device import choose_device
    from survfuse.explain.ensemble import ExplainSettings, explain_fold
    from survfuse.training.ensemble import ensemble

    model = find_model(config, name)
    if not spec_of(model).network:
        raise UserInputError(f"models.{name}: only networks are explained, not {model.kind}")
    chosen = choose_device(device)
    settings = ExplainSettings(batch_size=config.training.batch_size, seed=config.training.seed)
    explained = []
    for fold in tested_folds(config, name, fold_directories, paths, models_directory, device):
        if fold.repeat:
            continue
        inputs, fitted = fold.inputs, read_matching(name, fold.fitted)
        if is_average(fitted):  # of what is the same for everybody there is nothing to explain
            continue
        team = ensemble(fitted, model, inputs, fold.patient_ids, config.training, chosen)
        parts = {
            read: named
            for read, scaling in team.source.scalers.fitted.items()
            if (named := modality(read).parts(inputs.stores.get(read), scaling))
        }
        explained.append(
            explain_fold(
                (team.network(member) for member in range(team.members)),
                team.source,
                range(len(fold.patient_ids)),
                None if fitted.fit["loss"] == "cox" else team.marginal_logits(),
                parts,
                fold.repeat,
                fold.number,
                settings,
            )
        )
        log.info("fold %d: %d patients explained", fold.number, len(fold.patient_ids))
    write_explanations(out, explained)
