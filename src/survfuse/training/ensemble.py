"""Applying the neural models: an ensemble of seeds per fold, with the patients to predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from survfuse.config import ModelConfig
from survfuse.config_training import TrainingConfig
from survfuse.errors import UserInputError
from survfuse.fusion.hazards import survival_from_logits
from survfuse.fusion.interface import FusionModel, Shapes
from survfuse.fusion.registry import build, options_of
from survfuse.training.batches import within_budget
from survfuse.training.bins import survival_at
from survfuse.training.checkpoint import FittedModel
from survfuse.training.cox import CoxModel
from survfuse.training.fit import predict_logits
from survfuse.training.inputs import CohortInputs
from survfuse.training.prediction import ClassPrediction, Prediction
from survfuse.training.scalers import Scalers
from survfuse.training.tokens import TokenSource, token_source


def loaded(
    build: Callable[[], FusionModel], weights: Mapping[str, Tensor], device: torch.device
) -> FusionModel:
    """A network in the state of its last stage, with the given weights."""
    network = build()
    for stage in network.stages:
        network.begin(stage)
    network.load_state_dict(weights)
    return network.to(device).eval()


def reads_synthesised(model: ModelConfig) -> bool:
    """Whether a network reads synthesised volumes where real ones are absent."""
    return {**options_of(model.kind), **model.options}.get("absent") == "synthesise"


@dataclass(frozen=True)
class Ensemble:
    """A fitted ensemble with the tokens of the patients it is to predict."""

    fitted: FittedModel
    model: ModelConfig
    source: TokenSource
    settings: TrainingConfig
    device: torch.device

    def network(self, member: int) -> FusionModel:
        """One fitted network, in evaluation mode.

        Raises UserInputError for weights of a network that had other parts when they were trained.
        """
        described = self.fitted.fit["shapes"]
        sides = described.get("volume_shape")
        lists = {
            "group_widths": tuple(described["group_widths"]),
            "volume_shape": tuple(sides) if sides else None,
        }
        shapes = Shapes(**{**described, **lists})
        stored = self.fitted.under(f"member{member}.")
        weights = {name: torch.from_numpy(values) for name, values in stored.items()}
        try:
            return loaded(
                lambda: build(self.model.kind, shapes, self.model.options), weights, self.device
            )
        except RuntimeError:
            raise UserInputError(
                f"the weights of {self.model.name} do not fit this version of {self.model.kind}; "
                f"remove the folder models/{self.model.name} of the results and train it again, or "
                "use the version of survfuse that fit.json names"
            ) from None

    def marginal_logits(self) -> Tensor:
        """(K,) logits of the whole training part, which those of a network are added to."""
        return torch.from_numpy(self.fitted.arrays["marginal_logits"])

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
    scalers = Scalers.from_stored(fitted.arrays, fitted.fit["encoder"])
    source = token_source(
        inputs, patient_ids, fitted.fit["modalities"], scalers, reads_synthesised(model)
    )
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
            cox = CoxModel(np.ones(1), **fitted.under(f"baseline{member}."))
            risks.append(logits[:, 0].numpy())
            curves.append(cox.survival(logits.numpy(), grid_months))
        else:
            surviving = survival_from_logits(logits + team.marginal_logits()).numpy()
            risks.append(-surviving.sum(axis=1))
            edges = fitted.arrays["edges_months"]
            curves.append(survival_at(surviving, edges, grid_months))
        if attention:
            add_attention(shown, network, team.source, team.settings, 1 / team.members)
    return Prediction(team.source.patient_ids, np.mean(risks, axis=0), np.stack(curves), shown)


def diagnose_neural(team: Ensemble, attention: bool = False) -> ClassPrediction:
    """Probabilities of the classes by every member; optionally with attention per patient."""
    rows = list(range(len(team.source.patient_ids)))
    members, shown = [], dict[str, list[np.ndarray]]()
    for member in range(team.members):
        network = team.network(member)
        logits = predict_logits(network, team.source, rows, team.settings).double()
        balanced = logits + team.marginal_logits()
        members.append(balanced.softmax(dim=1).numpy())
        if attention:
            add_attention(shown, network, team.source, team.settings, 1 / team.members)
    threshold = team.fitted.arrays.get("threshold", np.array([np.nan]))
    return ClassPrediction(
        team.source.patient_ids,
        np.stack(members),
        float(threshold[0]),
        team.source.synthesised(),
        shown,
    )


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
