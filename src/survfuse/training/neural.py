"""Fitting and applying the neural models: an ensemble of seeds per fold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from survfuse.config import Config, ModelConfig, TrainingConfig
from survfuse.errors import UserInputError
from survfuse.files import sha256_json
from survfuse.fusion.hazards import survival_from_logits
from survfuse.fusion.interface import FusionModel, Shapes
from survfuse.fusion.registry import MODELS, build
from survfuse.training.batches import within_budget
from survfuse.training.bins import fit_bins, survival_at
from survfuse.training.checkpoint import FittedModel, ids_hash
from survfuse.training.cox import CoxModel, breslow
from survfuse.training.engine import start_engine
from survfuse.training.fit import Resume, Task, fit_member, hash_seed, predict_logits
from survfuse.training.inputs import CohortInputs
from survfuse.training.missingness import fit_hiding
from survfuse.training.outcomes import cox_outcomes, discrete_outcomes
from survfuse.training.part import TrainingPart
from survfuse.training.prediction import Prediction
from survfuse.training.tokens import Scalers, TokenSource, fit_scalers, token_source
from survfuse.training.tuning import tuned

log = logging.getLogger(__name__)

Tensors = dict[str, Tensor | np.ndarray]


def check_options(config: Config, model: ModelConfig) -> None:
    """Build the model at the smallest size, which refuses unknown or mistyped options."""
    build(model.kind, Shapes(1, (1,), 1, 1 if config.training.loss == "cox" else 2), model.options)


@dataclass(frozen=True)
class Prepared:
    """A fold ready to be fitted."""

    task: Task
    model: ModelConfig
    shapes: Shapes
    tensors: Tensors  # what prediction needs besides the weights
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
    settings = config.training
    fitting = (part.role == "train") | (settings.stop == "fixed")
    train_ids = part.patient_ids[fitting].tolist()
    modalities = MODELS[model.kind].reads
    require_inputs(model, modalities, inputs)
    scalers = fit_scalers(inputs, train_ids, modalities, config.omics, config.cohort.covariates)
    source = token_source(inputs, part.patient_ids.tolist(), modalities, scalers)
    tensors: Tensors = dict(scalers.arrays())
    if settings.loss == "cox":
        outcomes = cox_outcomes(part.time_months, part.event)
    else:
        edges = fit_bins(
            settings.bins_months,
            part.time_months[fitting],
            part.event[fitting],
            settings.min_events_per_bin,
        )
        outcomes = discrete_outcomes(part.time_months, part.event, edges, fitting)
        tensors |= {"edges_months": edges, "marginal_logits": outcomes.marginal}
    hiding = fit_hiding(
        settings.missingness,
        settings.modality_dropout,
        source.available,
        part.time_months,
        part.event,
        fitting,
        modalities,
    )
    for warning in hiding.warnings:
        log.warning("%s", warning)
    task = Task(
        source,
        outcomes,
        hiding,
        tuple(np.flatnonzero(fitting).tolist()),
        tuple(np.flatnonzero(~fitting).tolist()),
        settings,
        part.seed(settings.seed),
    )
    shapes = source.shapes(len(outcomes.marginal))
    encoder = scalers.clinical.to_json() if scalers.clinical else None
    described = {
        "modalities": list(modalities),
        "shapes": asdict(shapes),
        "encoder": encoder,
        "missingness": hiding.to_json(),
        "fitted_on": dict.fromkeys(("bins", "scalers", "missingness"), ids_hash(train_ids)),
    }
    return Prepared(task, model, shapes, tensors, described)


def fit_neural(
    prepared: Prepared, scratch: Path, resume_key: str, device: torch.device
) -> tuple[Tensors, dict[str, Any]]:
    """Fit the ensemble of one fold; returns the tensors and the description to store."""
    settings = prepared.task.settings
    fabric = start_engine(settings, device)
    fitted: tuple[Tensors, dict[str, Any]] = fabric.launch(
        partial(fit_ensemble, prepared=prepared, scratch=scratch, resume_key=resume_key)
    )
    return fitted


def fit_ensemble(
    fabric: Fabric, prepared: Prepared, scratch: Path, resume_key: str
) -> tuple[Tensors, dict[str, Any]]:
    """What each process of `fit_neural` does; all return the same."""
    torch.use_deterministic_algorithms(True, warn_only=fabric.device.type == "cuda")
    torch.set_num_threads(prepared.task.settings.threads)
    chosen: dict[str, Any] = {}
    if prepared.task.settings.tuning.trials and prepared.task.inner_rows:
        chosen, prepared = tuned(prepared, fabric, scratch, resume_key)
    tensors, histories = dict(prepared.tensors), []
    for member in range(prepared.task.settings.members):
        seed = hash_seed(prepared.task.seed, member)
        best, progress = fit_member(
            prepared.build,
            replace(prepared.task, seed=seed),
            fabric,
            Resume(scratch / f"member{member}.safetensors", sha256_json([resume_key, member])),
        )
        tensors |= {f"member{member}.{name}": value for name, value in best.items()}
        tensors |= baseline(prepared, best, fabric.device, f"baseline{member}.")
        histories.append(progress.to_json())
    parameters = sum(p.numel() for p in prepared.build().parameters())
    # Arrays, because tensors would be sent from another process as handles that die with it.
    return {name: np.asarray(value) for name, value in tensors.items()}, {
        **prepared.described,
        "members": prepared.task.settings.members,
        "loss": prepared.task.settings.loss,
        "tuned": chosen,
        "parameters": parameters,
        "histories": histories,
    }


def baseline(
    prepared: Prepared, weights: Mapping[str, Tensor], device: torch.device, prefix: str
) -> Tensors:
    """Breslow's cumulative baseline hazard of a network trained by the partial likelihood."""
    task = prepared.task
    if task.settings.loss != "cox":
        return {}
    network = loaded(prepared.build, weights, device)
    rows = list(task.train_rows)
    ratios = predict_logits(network, task.source, rows, task.settings)[:, 0].double().numpy()
    outcomes = task.outcomes
    fitted = breslow(ratios, outcomes.time_months[rows], outcomes.event[rows])
    return {f"{prefix}times": fitted.times, f"{prefix}hazard": fitted.hazard}


def loaded(
    build: Callable[[], FusionModel], weights: Mapping[str, Tensor], device: torch.device
) -> FusionModel:
    """A network in the state of its last stage, with the given weights."""
    network = build()
    for stage in network.stages:
        network.begin(stage)
    network.load_state_dict(weights)
    return network.to(device).eval()


def require_inputs(model: ModelConfig, modalities: Sequence[str], inputs: CohortInputs) -> None:
    """Refuse a model none of whose modalities exists in the cohort; say so if one is absent."""
    clinical = not inputs.clinical.drop(columns="site", errors="ignore").empty
    present = {"slides": bool(inputs.bags), "omics": inputs.omics is not None, "clinical": clinical}
    absent = [modality for modality in modalities if not present[modality]]
    if len(absent) == len(modalities):
        remedy = {
            "slides": "name a sheet in cohort.slides",
            "omics": "name a matrix in cohort.omics",
            "clinical": "declare columns in cohort.covariates",
        }
        raise UserInputError(
            f"models.{model.name}: {model.kind} reads {' and '.join(absent)}, of which this cohort "
            f"has none; {remedy[absent[0]]} or remove the model"
        )
    for modality in absent:
        log.warning("%s is fitted without %s: no patient has any", model.name, modality)


@dataclass(frozen=True)
class Ensemble:
    """A fitted ensemble with the tokens of the patients it is to predict."""

    fitted: FittedModel
    model: ModelConfig
    source: TokenSource
    settings: TrainingConfig
    device: torch.device

    def network(self, member: int) -> FusionModel:
        """One fitted network, in evaluation mode."""
        stored = self.fitted.fit["shapes"]
        shapes = Shapes(**{**stored, "group_widths": tuple(stored["group_widths"])})
        weights = self.fitted.member(f"member{member}.")
        return loaded(
            lambda: build(self.model.kind, shapes, self.model.options), weights, self.device
        )

    @property
    def members(self) -> int:
        """Number of networks."""
        return int(self.fitted.fit["members"])


def ensemble(
    fitted: FittedModel,
    model: ModelConfig,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    settings: TrainingConfig,
    device: torch.device,
) -> Ensemble:
    """Bring a fitted ensemble and the patients to predict together."""
    torch.set_num_threads(settings.threads)
    scalers = Scalers.from_stored(fitted.arrays(), fitted.fit["encoder"])
    source = token_source(inputs, patient_ids, fitted.fit["modalities"], scalers)
    # Tuning may have chosen a dropout; the network must be built with it to be the same network.
    options = {**model.options, **fitted.fit["tuned"].get("options", {})}
    model = model.model_copy(update={"options": options})
    return Ensemble(fitted, model, source, settings, device)


def predict_neural(team: Ensemble, grid_months: np.ndarray, attention: bool = False) -> Prediction:
    """Predict with every member; optionally with attention per patient."""
    fitted, rows = team.fitted, list(range(len(team.source.patient_ids)))
    curves, risks = [], []
    shown: dict[str, list[np.ndarray]] = {}
    for member in range(team.members):
        network = team.network(member)
        logits = predict_logits(network, team.source, rows, team.settings).double()
        if fitted.fit["loss"] == "cox":
            cox = CoxModel(np.ones(1), **fitted.arrays(f"baseline{member}."))
            risks.append(logits[:, 0].numpy())
            curves.append(cox.survival(logits.numpy(), grid_months))
        else:
            surviving = survival_from_logits(logits + fitted.tensors["marginal_logits"]).numpy()
            risks.append(-surviving.sum(axis=1))
            edges = fitted.tensors["edges_months"].numpy()
            curves.append(survival_at(surviving, edges, grid_months))
        if attention:
            add_attention(shown, network, team.source, team.settings, 1 / team.members)
    return Prediction(team.source.patient_ids, np.mean(risks, axis=0), np.stack(curves), shown)


@torch.inference_mode()
def add_attention(
    shown: dict[str, list[np.ndarray]],
    network: nn.Module,
    source: TokenSource,
    settings: TrainingConfig,
    weight: float,
) -> None:
    """Add a member's attention, trimmed to real tokens, to the running mean of each patient."""
    device = next(network.parameters()).device
    rows = list(range(len(source.patient_ids)))
    for chosen in within_budget(rows, [source.bag_size(row) for row in rows], settings):
        output = network(source.batch(chosen).to(device), attention=True)
        for name, values in output.attention.items():
            kept = shown.setdefault(name, [np.zeros(0)] * len(rows))
            for position, row in enumerate(chosen):
                size = source.bag_size(row) if name == "slides" else values.shape[1]
                part = weight * values[position, :size].float().cpu().numpy()
                kept[row] = kept[row] + part if len(kept[row]) else part
