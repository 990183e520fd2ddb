"""A bounded search for training settings, judged on the inner patients of the fold alone."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_fabric import Fabric

from survfuse.files import sha256_json
from survfuse.fusion.registry import options_of
from survfuse.training.fit import fit_member, hash_seed
from survfuse.training.resume import Resume

if TYPE_CHECKING:
    from survfuse.training.neural import Prepared

log = logging.getLogger(__name__)


def tuned(
    prepared: Prepared, fabric: Fabric, scratch: Path, resume_key: str
) -> tuple[dict[str, Any], Prepared]:
    """Search learning rate, weight decay and, where the model has it, dropout.

    The configured settings are the first trial, so the choice is never worse on the inner
    patients; each trial trains one network. Returns what was chosen and the fold prepared with it.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ranges, settings = prepared.task.settings.tuning, prepared.task.settings
    defaults = options_of(prepared.model.kind) | prepared.model.options
    start = {"learning_rate": settings.learning_rate, "weight_decay": settings.weight_decay}
    if "dropout" in defaults:
        start["dropout"] = defaults["dropout"]

    def loss_of(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("learning_rate", *ranges.learning_rate, log=True)
        values = {"learning_rate": rate}
        values["weight_decay"] = trial.suggest_float("weight_decay", *ranges.weight_decay, log=True)
        if "dropout" in start:
            values["dropout"] = trial.suggest_float("dropout", *ranges.dropout)
        candidate = adjusted(prepared, values)
        task = replace(candidate.task, seed=hash_seed(prepared.task.seed, 0))
        resume = Resume(
            scratch / f"trial{trial.number}.safetensors", sha256_json([resume_key, values])
        )
        _, progress = fit_member(candidate.build, task, fabric, resume)
        log.info("trial %d: %s, inner loss %.4f", trial.number + 1, values, progress.best_loss)
        return progress.best_loss

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=prepared.task.seed))
    limits = {name: getattr(ranges, name) for name in start}
    study.enqueue_trial({n: min(max(v, limits[n][0]), limits[n][1]) for n, v in start.items()})
    study.optimize(loss_of, n_trials=ranges.trials)
    best = adjusted(prepared, study.best_params)
    chosen = {
        **study.best_params,
        "options": best.model.options,
        "inner_loss": study.best_value,
        "trials": ranges.trials,
    }
    return chosen, best


def adjusted(prepared: Prepared, values: dict[str, float]) -> Prepared:
    """The same fold with other settings."""
    fields = {name: value for name, value in values.items() if name != "dropout"}
    options = dict(prepared.model.options)
    if "dropout" in values:
        options["dropout"] = values["dropout"]
    task = replace(prepared.task, settings=prepared.task.settings.model_copy(update=fields))
    return replace(
        prepared, task=task, model=prepared.model.model_copy(update={"options": options})
    )
