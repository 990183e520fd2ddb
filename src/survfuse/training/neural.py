"""Fitting and applying the neural models: an ensemble of seeds per fold."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from survfuse.config import Config, ModelConfig, TrainingConfig
from survfuse.errors import MissingResourceError, UserInputError
from survfuse.files import sha256_json
from survfuse.fusion.hazards import survival_from_logits
from survfuse.fusion.interface import Shapes
from survfuse.fusion.registry import MODELS, build
from survfuse.training.bins import fit_bins, survival_at
from survfuse.training.checkpoint import FittedModel, ids_hash
from survfuse.training.fit import (
    fit_member,
    hash_seed,
    predict_logits,
    targets_of,
    within_budget,
)
from survfuse.training.inputs import CohortInputs
from survfuse.training.part import TrainingPart
from survfuse.training.prediction import Prediction
from survfuse.training.tokens import Scalers, TokenSource, fit_scalers, token_source

log = logging.getLogger(__name__)


def choose_device(asked: str) -> torch.device:
    """`auto` takes a GPU if there is one; `cuda` insists. Raises MissingResourceError."""
    if asked == "cuda" and not torch.cuda.is_available():
        raise MissingResourceError(
            "device cuda was asked for, but PyTorch sees no GPU; request one from the scheduler, "
            "or run with --device cpu"
        )
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(asked)


def check_options(model: ModelConfig) -> None:
    """Build the model at the smallest size, which refuses unknown or mistyped options."""
    build(model.kind, Shapes(1, (1,), 1, 2), model.options)


def fit_neural(
    config: Config,
    model: ModelConfig,
    part: TrainingPart,
    inputs: CohortInputs,
    scratch: Path,
    resume_key: str,
    device: torch.device,
) -> tuple[dict[str, Tensor | np.ndarray], dict[str, Any]]:
    """Fit the ensemble of one fold; returns the tensors and the description to store.

    Time bins and scalers are fitted on the training role; the inner role only stops the training.
    """
    settings = config.training
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    fitting = part.role == "train"
    train_ids = part.patient_ids[fitting].tolist()
    modalities = MODELS[model.kind].reads
    require_inputs(model, modalities, inputs)
    scalers = fit_scalers(inputs, train_ids, modalities, config.omics)
    edges = fit_bins(
        settings.bins_months,
        part.time_months[fitting],
        part.event[fitting],
        settings.min_events_per_bin,
    )
    source = token_source(inputs, part.patient_ids.tolist(), modalities, scalers)
    shapes = source.shapes(len(edges) + 1)
    targets = targets_of(part.time_months, part.event, edges, fitting)
    tensors: dict[str, Tensor | np.ndarray] = {
        "edges_months": edges,
        "marginal_logits": targets.marginal,
        **scalers.arrays(),
    }
    histories = []
    for member in range(settings.members):
        best, progress = fit_member(
            lambda: build_model(model, shapes),
            source,
            targets,
            np.flatnonzero(fitting).tolist(),
            np.flatnonzero(~fitting).tolist(),
            settings,
            seed=hash_seed(part.seed(settings.seed), member),
            device=device,
            resume=scratch / f"member{member}.safetensors",
            resume_key=sha256_json([resume_key, member]),
        )
        tensors |= {f"member{member}.{name}": value for name, value in best.items()}
        histories.append(progress.to_json())
    described = {
        "members": settings.members,
        "modalities": list(modalities),
        "shapes": {
            "slides_dim": shapes.slides_dim,
            "group_widths": list(shapes.group_widths),
            "clinical_dim": shapes.clinical_dim,
            "n_bins": shapes.n_bins,
        },
        "parameters": sum(p.numel() for p in build_model(model, shapes).parameters()),
        "histories": histories,
        "fitted_on": {"bins": ids_hash(train_ids), "scalers": ids_hash(train_ids)},
    }
    return tensors, described


def build_model(model: ModelConfig, shapes: Shapes) -> nn.Module:
    """A fresh network of a leaderboard row."""
    return build(model.kind, shapes, model.options)


def require_inputs(model: ModelConfig, modalities: Sequence[str], inputs: CohortInputs) -> None:
    """Refuse a model none of whose modalities exists in the cohort; say so if one is absent."""
    present = {"slides": bool(inputs.bags), "omics": inputs.omics is not None, "clinical": True}
    absent = [modality for modality in modalities if not present[modality]]
    if len(absent) == len(modalities):
        raise UserInputError(
            f"models.{model.name}: {model.kind} reads {' and '.join(absent)}, of which this cohort "
            f"has none; name a sheet in cohort.{absent[0]} or remove the model"
        )
    for modality in absent:
        log.warning("%s is fitted without %s: no patient has any", model.name, modality)


def predict_neural(
    fitted: FittedModel,
    model: ModelConfig,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    grid_months: np.ndarray,
    settings: TrainingConfig,
    device: torch.device,
    attention: bool = False,
) -> Prediction:
    """Predict with every member of a fitted ensemble; optionally with attention per patient."""
    torch.set_num_threads(settings.threads)
    shapes = Shapes(
        fitted.fit["shapes"]["slides_dim"],
        tuple(fitted.fit["shapes"]["group_widths"]),
        fitted.fit["shapes"]["clinical_dim"],
        fitted.fit["shapes"]["n_bins"],
    )
    scalers = Scalers.from_arrays(fitted.arrays())
    source = token_source(inputs, patient_ids, fitted.fit["modalities"], scalers)
    edges = fitted.tensors["edges_months"].numpy()
    rows = list(range(len(patient_ids)))
    curves, at_edges = [], []
    shown: dict[str, list[np.ndarray]] = {}
    for member in range(fitted.fit["members"]):
        network = build_model(model, shapes).to(device)
        network.load_state_dict(fitted.member(f"member{member}."))
        logits = predict_logits(network, source, rows, settings).double()
        surviving = survival_from_logits(logits + fitted.tensors["marginal_logits"]).numpy()
        at_edges.append(surviving)
        curves.append(survival_at(surviving, edges, grid_months))
        if attention:
            add_attention(shown, network, source, settings, 1 / fitted.fit["members"])
    risk = -np.mean(at_edges, axis=0).sum(axis=1)
    return Prediction(tuple(patient_ids), risk, np.stack(curves), shown)


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
    network.eval()
    rows = list(range(len(source.patient_ids)))
    for chosen in within_budget(rows, [source.bag_size(row) for row in rows], settings):
        output = network(source.batch(chosen).to(device), attention=True)
        for name, values in output.attention.items():
            kept = shown.setdefault(name, [np.zeros(0)] * len(rows))
            for position, row in enumerate(chosen):
                size = source.bag_size(row) if name == "slides" else values.shape[1]
                part = weight * values[position, :size].float().cpu().numpy()
                kept[row] = kept[row] + part if len(kept[row]) else part
