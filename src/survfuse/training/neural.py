"""Fitting the neural models: an ensemble of seeds per fold."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from survfuse.artifacts.checkpoint import Arrays, ids_hash
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_json
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.scaling import fit_scalers
from survfuse.models.estimator import NothingToLearnError
from survfuse.models.networks.interface import Shapes
from survfuse.models.networks.registry import MODELS, build
from survfuse.models.specs import reads_synthesised, spec_of, stopped_by_validation
from survfuse.splits.training_part import TrainingPart
from survfuse.training.engine import repeat_exactly, start_engine
from survfuse.training.ensemble import loaded
from survfuse.training.epochs import cross_validated_epochs
from survfuse.training.fit import TrainingRun, fit_member, hash_seed, predict_logits
from survfuse.training.modality_masking import fit_masking
from survfuse.training.network_task import networks_of
from survfuse.training.prepared import Prepared
from survfuse.training.resume import Resume
from survfuse.training.solved import fit_solved
from survfuse.training.tokens import token_source
from survfuse.training.tuning import tuned

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)


def check_options(config: Config, model: ModelConfig) -> None:
    """Build the model at the smallest size, which refuses unknown, mistyped and immense options."""
    try:
        smallest = {name: modality(name).smallest for name in spec_of(model).reads}
        build(
            model.kind, Shapes(smallest, networks_of(config).least_outputs(config)), model.options
        )
    except RuntimeError as error:  # of PyTorch, which cannot allocate the weights
        raise UserInputError(
            f"models.{model.name}: {model.kind} cannot be built with the options {model.options}, "
            f"not even for one gene and one tile; use smaller ones ({str(error).splitlines()[0]})"
        ) from None


def prepare(
    config: Config, model: ModelConfig, part: TrainingPart, inputs: CohortInputs
) -> Prepared:
    """Fit bins, scalers and the missingness policy, on the patients that are trained on alone.

    Where validation patients stop the training, these are the training role; otherwise all.
    """
    if MODELS[model.kind].solved:  # which needs no time bins
        by_cox = config.training.model_copy(update={"loss": "cox"})
        config = config.model_copy(update={"training": by_cox})
    settings, task = config.training, networks_of(config)
    fitting = (part.role == "train") | (not stopped_by_validation(model, config))
    known = part.outcome.known
    train_ids = part.patient_ids[fitting].tolist()
    modalities = spec_of(model).reads
    require_inputs(model, modalities, inputs)
    scalers = fit_scalers(inputs, train_ids, modalities, config)
    source = token_source(
        inputs, part.patient_ids.tolist(), modalities, scalers, reads_synthesised(model, ())
    )
    targets, for_prediction = task.targets(config, part, fitting)
    arrays = {**scalers.arrays(), **for_prediction}
    masking = fit_masking(
        settings.missingness,
        settings.modality_dropout,
        source.available,
        task.strata(part, fitting & known),
        fitting & known,
        modalities,
    )
    for warning in masking.warnings:
        log.warning("%s in fold r%df%d: %s", model.name, part.repeat, part.fold, warning)
    run = TrainingRun(
        source,
        targets,
        masking,
        tuple(np.flatnonzero(fitting & known).tolist()),
        tuple(np.flatnonzero(~fitting & known).tolist()),
        settings,
        part.seed(settings.seed),
    )
    shapes = source.shapes(len(targets.marginal), patients=int(fitting.sum()))
    described = {
        "modalities": list(modalities),
        "shapes": shapes.to_json(),
        "scaling": scalers.to_json(),
        "missingness": masking.to_json(),
        "fitted_on": dict.fromkeys(("bins", "scalers", "missingness"), ids_hash(train_ids)),
    }
    return Prepared(run, model, shapes, arrays, described)


def fit_neural(
    prepared: Prepared, scratch: Path, resume_key: str, device: torch.device
) -> tuple[Arrays, dict[str, Any]]:
    """Fit the ensemble of one fold; returns the arrays and the description to store."""
    settings = prepared.run.settings
    fabric = start_engine(settings, device)
    fitted: tuple[Arrays, dict[str, Any]] = fabric.launch(
        partial(fit_ensemble, prepared=prepared, scratch=scratch, resume_key=resume_key)
    )
    return fitted


def fit_ensemble(
    fabric: Fabric, prepared: Prepared, scratch: Path, resume_key: str
) -> tuple[Arrays, dict[str, Any]]:
    """What each process of `fit_neural` does; all return the same."""
    repeat_exactly(gpu=fabric.device.type == "cuda")
    torch.set_num_threads(prepared.run.settings.threads)
    settings, described = prepared.run.settings, prepared.described
    if not MODELS[prepared.model.kind].solved:
        prepared, how = settled(prepared, fabric, scratch, resume_key)
        described = described | how
    arrays, histories = dict(prepared.arrays), []
    for member in range(settings.members):
        weights, history = fit_one(prepared, fabric, scratch, resume_key, member)
        # Arrays, because tensors would be sent from another process as handles that die with it.
        arrays |= {f"member{member}.{name}": value.numpy() for name, value in weights.items()}
        arrays |= baseline(prepared, weights, fabric.device, f"baseline{member}.")
        histories.append(history)
    parameters = sum(p.numel() for p in prepared.build().parameters())
    return arrays, {
        "tuned": {},
        **described,
        "members": settings.members,
        "loss": prepared.run.targets.loss,
        "parameters": parameters,
        "histories": histories,
    }


def settled(
    prepared: Prepared, fabric: Fabric, scratch: Path, resume_key: str
) -> tuple[Prepared, dict[str, Any]]:
    """The fold with the settings and the number of epochs that are chosen on it, and which."""
    settings, described = prepared.run.settings, dict[str, Any]()
    if settings.tuning.trials and prepared.run.validation_rows:
        described["tuned"], prepared = tuned(prepared, fabric, scratch, resume_key)
    if settings.stop == "cross_validation":
        epochs, by_fold = cross_validated_epochs(prepared, fabric, scratch, resume_key)
        prepared = replace(prepared, run=replace(prepared.run, epochs=epochs))
        described |= {"epochs": list(epochs), "best_epochs_of_folds": by_fold}
    return prepared, described


def fit_one(
    prepared: Prepared, fabric: Fabric, scratch: Path, resume_key: str, member: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of one member, and how they were found."""
    seed = hash_seed(prepared.run.seed, member)
    if MODELS[prepared.model.kind].solved:
        return fit_solved(prepared, seed)
    run = replace(prepared.run, seed=seed)
    resume = Resume(scratch / f"member{member}.safetensors", sha256_json([resume_key, member]))
    weights, progress = fit_member(prepared.build, run, fabric, resume)
    return weights, progress.to_json()


def baseline(
    prepared: Prepared, weights: Mapping[str, Tensor], device: torch.device, prefix: str
) -> Arrays:
    """What prediction needs of a fitted member besides its weights, under names with a prefix."""
    run, rows = prepared.run, list(prepared.run.train_rows)

    def logits() -> np.ndarray:
        network = loaded(prepared.build, weights, device)
        return predict_logits(network, run.source, rows, run.settings).numpy()

    return {f"{prefix}{name}": kept for name, kept in run.targets.baseline(rows, logits).items()}


def require_inputs(model: ModelConfig, modalities: Sequence[str], inputs: CohortInputs) -> None:
    """Refuse a model none of whose modalities a patient has; say so if one is absent.

    Raises NothingToLearnError.
    """
    everybody = inputs.patients.index.tolist()
    absent = [name for name in modalities if not inputs.available(name, everybody).any()]
    if len(absent) == len(modalities):
        raise NothingToLearnError(f"no training patient has {' or '.join(absent)}")
    for name in absent:
        log.info("%s is fitted without %s: no training patient has any", model.name, name)
