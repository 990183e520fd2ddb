"""The explanation stage: what moved the estimates of one row, fold by fold."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from survfuse.config import Config
from survfuse.errors import UserInputError
from survfuse.evaluation.explanations import write_explanations
from survfuse.kinds import kind_of
from survfuse.training.inputs import InputPaths
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
    from survfuse.device import choose_device
    from survfuse.training.ensemble import ensemble
    from survfuse.training.explain import ExplainSettings, explain_fold

    model = find_model(config, name)
    if kind_of(model).family != "network":
        raise UserInputError(f"models.{name}: only networks are explained, not {model.kind}")
    chosen = choose_device(device)
    settings = ExplainSettings(batch_size=config.training.batch_size, seed=config.training.seed)
    explained = []
    for fold in tested_folds(config, fold_directories, paths, models_directory, device):
        if fold.repeat:
            continue
        inputs, fitted = fold.inputs, read_matching(name, fold.fitted)
        team = ensemble(fitted, model, inputs, fold.patient_ids, config.training, chosen)
        parts: dict[str, dict[str, int]] = {}
        if inputs.omics is not None and team.source.scalers.omics is not None:
            groups = inputs.omics.groups.tolist()
            parts["omics"] = dict(zip(groups, inputs.omics.group_widths, strict=True))
        if (encoder := team.source.scalers.clinical) is not None:
            parts["clinical"] = dict(Counter(column.variable for column in encoder.columns))
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
