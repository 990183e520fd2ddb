"""Fitting the neural models: an ensemble of seeds per fold."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from survfuse.classes import UNKNOWN
from survfuse.config import Config, ModelConfig
from survfuse.config_imaging import IMAGES
from survfuse.errors import UserInputError
from survfuse.files import sha256_json
from survfuse.fusion.interface import FusionModel, Shapes
from survfuse.fusion.registry import MODELS, build
from survfuse.training.bins import fit_bins
from survfuse.training.checkpoint import Arrays, ids_hash
from survfuse.training.cox import breslow
from survfuse.training.engine import start_engine
from survfuse.training.ensemble import loaded, reads_synthesised
from survfuse.training.fit import Task, fit_member, hash_seed, predict_logits
from survfuse.training.inputs import CohortInputs
from survfuse.training.missingness import fit_hiding
from survfuse.training.outcomes import (
    Labels,
    Outcomes,
    class_outcomes,
    cox_outcomes,
    discrete_outcomes,
)
from survfuse.training.part import TrainingPart
from survfuse.training.resume import Resume
from survfuse.training.scalers import fit_scalers
from survfuse.training.tokens import token_source
from survfuse.training.tuning import tuned

log = logging.getLogger(__name__)

SMALLEST_VOLUME = (16, 16, 16)  # voxels, to try options on


def check_options(config: Config, model: ModelConfig) -> None:
    """Build the model at the smallest size, which refuses unknown, mistyped and immense options."""
    diagnosis = config.cohort.diagnosis
    outputs = len(diagnosis.classes) if diagnosis else 1 if config.training.loss == "cox" else 2
    try:
        build(model.kind, Shapes(1, (1,), 1, outputs, SMALLEST_VOLUME), model.options)
    except RuntimeError as error:  # of PyTorch, which cannot allocate the weights
        raise UserInputError(
            f"models.{model.name}: {model.kind} cannot be built with the options {model.options}, "
            f"not even for one gene and one tile; use smaller ones ({str(error).splitlines()[0]})"
        ) from None


@dataclass(frozen=True)
class Prepared:
    """A fold ready to be fitted."""

    task: Task
    model: ModelConfig
    shapes: Shapes
    arrays: Arrays  # what prediction needs besides the weights
    described: dict[str, Any]

    def build(self) -> FusionModel:
        """A fresh network."""
        return build(self.model.kind, self.shapes, self.model.options)


def prepare(
    config: Config, model: ModelConfig, part: TrainingPart, inputs: CohortInputs
) -> Prepared:
    """Fit bins, scalers and the missingness policy, on the patients that are trained on alone.

    With `stop: inner` these are the training role, and the inner role only stops the training;
    with `stop: fixed` they are all.
    """
    settings, diagnosis = config.training, config.cohort.diagnosis
    fitting = (part.role == "train") | (settings.stop == "fixed")
    known = np.ones(len(fitting), dtype=bool) if part.label is None else part.label != UNKNOWN
    train_ids = part.patient_ids[fitting].tolist()
    modalities = MODELS[model.kind].reads
    require_inputs(model, modalities, inputs)
    scalers = fit_scalers(inputs, train_ids, modalities, config.omics, config.cohort.covariates)
    source = token_source(
        inputs, part.patient_ids.tolist(), modalities, scalers, reads_synthesised(model)
    )
    arrays = scalers.arrays()
    outcomes: Outcomes | Labels
    if diagnosis and part.label is not None:
        outcomes = class_outcomes(part.label, len(diagnosis.classes), fitting)
        arrays["marginal_logits"] = outcomes.marginal
    elif settings.loss == "cox":
        outcomes = cox_outcomes(part.time_months, part.event)
    else:
        edges = fit_bins(
            settings.bins_months,
            part.time_months[fitting],
            part.event[fitting],
            settings.min_events_per_bin,
        )
        outcomes = discrete_outcomes(part.time_months, part.event, edges, fitting)
        arrays |= {"edges_months": edges, "marginal_logits": outcomes.marginal}
    hiding = fit_hiding(
        settings.missingness,
        settings.modality_dropout,
        source.available,
        part.time_months,
        part.event,
        fitting & known,
        modalities,
        part.label,
    )
    for warning in hiding.warnings:
        log.warning("%s", warning)
    task = Task(
        source,
        outcomes,
        hiding,
        tuple(np.flatnonzero(fitting & known).tolist()),
        tuple(np.flatnonzero(~fitting & known).tolist()),
        settings,
        part.seed(settings.seed),
    )
    shapes = replace(source.shapes(len(outcomes.marginal)), patients=int(fitting.sum()))
    encoder = scalers.clinical.to_json() if scalers.clinical else None
    described = {
        "modalities": list(modalities),
        "shapes": asdict(shapes),
        "encoder": encoder,
        "missingness": hiding.to_json(),
        "fitted_on": dict.fromkeys(("bins", "scalers", "missingness"), ids_hash(train_ids)),
    }
    return Prepared(task, model, shapes, arrays, described)


def fit_neural(
    prepared: Prepared, scratch: Path, resume_key: str, device: torch.device
) -> tuple[Arrays, dict[str, Any]]:
    """Fit the ensemble of one fold; returns the arrays and the description to store."""
    settings = prepared.task.settings
    fabric = start_engine(settings, device)
    fitted: tuple[Arrays, dict[str, Any]] = fabric.launch(
        partial(fit_ensemble, prepared=prepared, scratch=scratch, resume_key=resume_key)
    )
    return fitted


def fit_ensemble(
    fabric: Fabric, prepared: Prepared, scratch: Path, resume_key: str
) -> tuple[Arrays, dict[str, Any]]:
    """What each process of `fit_neural` does; all return the same."""
    torch.use_deterministic_algorithms(True, warn_only=fabric.device.type == "cuda")
    torch.set_num_threads(prepared.task.settings.threads)
    chosen: dict[str, Any] = {}
    settings = prepared.task.settings
    if settings.tuning.trials and prepared.task.inner_rows:
        chosen, prepared = tuned(prepared, fabric, scratch, resume_key)
    arrays, histories = dict(prepared.arrays), []
    for member in range(settings.members):
        seed = hash_seed(prepared.task.seed, member)
        best, progress = fit_member(
            prepared.build,
            replace(prepared.task, seed=seed),
            fabric,
            Resume(scratch / f"member{member}.safetensors", sha256_json([resume_key, member])),
        )
        # Arrays, because tensors would be sent from another process as handles that die with it.
        arrays |= {f"member{member}.{name}": value.numpy() for name, value in best.items()}
        arrays |= baseline(prepared, best, fabric.device, f"baseline{member}.")
        histories.append(progress.to_json())
    parameters = sum(p.numel() for p in prepared.build().parameters())
    return arrays, {
        **prepared.described,
        "members": settings.members,
        "loss": "focal" if isinstance(prepared.task.outcomes, Labels) else settings.loss,
        "tuned": chosen,
        "parameters": parameters,
        "histories": histories,
    }


def baseline(
    prepared: Prepared, weights: Mapping[str, Tensor], device: torch.device, prefix: str
) -> Arrays:
    """Breslow's cumulative baseline hazard of a network trained by the partial likelihood."""
    task = prepared.task
    if task.settings.loss != "cox" or isinstance(task.outcomes, Labels):
        return {}
    network = loaded(prepared.build, weights, device)
    rows = list(task.train_rows)
    ratios = predict_logits(network, task.source, rows, task.settings)[:, 0].double().numpy()
    outcomes = task.outcomes
    fitted = breslow(ratios, outcomes.time_months[rows], outcomes.event[rows])
    return {f"{prefix}times": fitted.times, f"{prefix}hazard": fitted.hazard}


def require_inputs(model: ModelConfig, modalities: Sequence[str], inputs: CohortInputs) -> None:
    """Refuse a model none of whose modalities exists in the cohort; say so if one is absent."""
    clinical = not inputs.clinical.drop(columns="site", errors="ignore").empty
    present = {
        "slides": bool(inputs.bags),
        "omics": inputs.omics is not None,
        "clinical": clinical,
        **{image: bool(inputs.volumes.get(image)) for image in IMAGES},
    }
    absent = [modality for modality in modalities if not present[modality]]
    if len(absent) == len(modalities):
        remedy = {
            "slides": "name a sheet in cohort.slides",
            "omics": "name a matrix in cohort.omics",
            "clinical": "declare columns in cohort.covariates",
            **dict.fromkeys(IMAGES, "name a sheet with such volumes in cohort.images"),
        }
        raise UserInputError(
            f"models.{model.name}: {model.kind} reads {' and '.join(absent)}, of which this cohort "
            f"has none; {remedy[absent[0]]} or remove the model"
        )
    for modality in absent:
        log.warning("%s is fitted without %s: no patient has any", model.name, modality)
