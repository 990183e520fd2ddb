"""A bounded search for training settings by the loss of the validation patients of a fold."""

from __future__ import annotations

import logging
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse.core.files import sha256_json
from survfuse.models.networks.registry import options_of
from survfuse.training.fit import fit_member, hash_seed
from survfuse.training.prepared import Prepared
from survfuse.training.resume import Resume

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)


def tuned(
    prepared: Prepared, fabric: Fabric, scratch: Path, resume_key: str
) -> tuple[dict[str, Any], Prepared]:
    """Search learning rate, weight decay and, where the model has it, dropout.

    The configured settings are the first trial, inside the ranges or not, so the choice is never
    worse on the validation patients; each trial trains one network. Returns what was chosen and the
    fold prepared with it.
    """
    import optuna
    from optuna.distributions import BaseDistribution, FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ranges = prepared.run.settings.tuning
    start = configured(prepared)
    limits: dict[str, tuple[float, float]] = {name: getattr(ranges, name) for name in start}
    searched: dict[str, BaseDistribution] = {
        name: FloatDistribution(low, high, log=name != "dropout")
        for name, (low, high) in limits.items()
    }

    def loss_of(values: dict[str, float], number: int) -> float:
        candidate = adjusted(prepared, values)
        run = replace(candidate.run, seed=hash_seed(prepared.run.seed, 0))
        key = sha256_json([resume_key, values])
        resume = Resume(scratch / f"trial{number}.safetensors", key)
        _, progress = fit_member(candidate.build, run, fabric, resume)
        log.info("trial %d: %s, validation loss %.4f", number + 1, values, progress.best_loss)
        return progress.best_loss

    tried = [(loss_of(start, 0), start)]
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=prepared.run.seed))
    if all(low <= start[name] <= high for name, (low, high) in limits.items()):
        study.add_trial(
            optuna.trial.create_trial(params=start, distributions=searched, value=tried[0][0])
        )
    for number in range(1, ranges.trials):
        trial = study.ask(searched)
        tried.append((loss_of(trial.params, number), trial.params))
        study.tell(trial, tried[-1][0])
    loss, values = min(tried, key=itemgetter(0))
    best = adjusted(prepared, values)
    chosen = {
        **values,
        "options": best.model.options,
        "validation_loss": loss,
        "trials": ranges.trials,
    }
    return chosen, best


def configured(prepared: Prepared) -> dict[str, float]:
    """The settings that are searched, as the configuration has them."""
    settings = prepared.run.settings
    found = {"learning_rate": settings.learning_rate, "weight_decay": settings.weight_decay}
    options = options_of(prepared.model.kind) | prepared.model.options
    if "dropout" in options:
        found["dropout"] = options["dropout"]
    return found


def adjusted(prepared: Prepared, values: dict[str, float]) -> Prepared:
    """The same fold with other settings."""
    fields = {name: value for name, value in values.items() if name != "dropout"}
    options = dict(prepared.model.options)
    if "dropout" in values:
        options["dropout"] = values["dropout"]
    run = replace(prepared.run, settings=prepared.run.settings.model_copy(update=fields))
    return replace(prepared, run=run, model=prepared.model.model_copy(update={"options": options}))
