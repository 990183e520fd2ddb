"""Explaining a network in one fold: integrated gradients, averaged over its ensemble."""

from __future__ import annotations

from survfuse.artifacts.checkpoint import FittedModel
from survfuse.artifacts.explanations import FoldExplanation
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.modalities.loading import modality
from survfuse.training.predict import TestedFold


def explain(
    config: Config, model: ModelConfig, fitted: FittedModel, fold: TestedFold, device: str
) -> FoldExplanation:
    """What moved the estimates of the patients that a fold is tested on."""
    from survfuse.core.device import choose_device
    from survfuse.explain.ensemble import ExplainSettings, explain_fold
    from survfuse.training.ensemble import ensemble

    chosen = choose_device(device)
    settings = ExplainSettings(batch_size=config.training.batch_size, seed=config.training.seed)
    inputs = fold.inputs
    team = ensemble(fitted, model, inputs, fold.patient_ids, config.training, chosen)
    parts = {
        read: named
        for read, scaling in team.source.scalers.fitted.items()
        if (named := modality(read).parts(inputs.stores.get(read), scaling))
    }
    return explain_fold(
        (team.network(member) for member in range(team.members)),
        team.source,
        range(len(fold.patient_ids)),
        None if fitted.fit["loss"] == "cox" else team.marginal_logits(),
        parts,
        fold.repeat,
        fold.number,
        settings,
    )
