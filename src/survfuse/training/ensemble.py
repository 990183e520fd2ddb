"""Applying the neural models: an ensemble of seeds per fold, with the patients to predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from survfuse.artifacts.checkpoint import FittedModel
from survfuse.config.models import ModelConfig
from survfuse.config.training import TrainingConfig
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.scaling import Scalers
from survfuse.models.networks.interface import FusionModel, Shapes
from survfuse.models.networks.registry import build
from survfuse.models.specs import reads_synthesised
from survfuse.training.batches import within_budget
from survfuse.training.fit import predict_logits
from survfuse.training.tokens import TokenSource, read_weights, token_source


def loaded(
    build: Callable[[], FusionModel], weights: Mapping[str, Tensor], device: torch.device
) -> FusionModel:
    """A network in the state of its last stage, with the given weights."""
    network = build()
    for stage in network.stages:
        network.begin(stage)
    network.load_state_dict(weights)
    return network.to(device).eval()


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
        shapes = Shapes.from_json(self.fitted.fit["shapes"])
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
    modalities = fitted.fit["modalities"]
    source = token_source(
        inputs,
        patient_ids,
        modalities,
        Scalers.from_stored(fitted.arrays, fitted.fit["scaling"], modalities),
        reads_synthesised(model, ()),
        Shapes.from_json(fitted.fit["shapes"]).tokens,
    )
    # Tuning may have chosen a dropout; the network must be built with it to be the same network.
    options = {**model.options, **fitted.fit["tuned"].get("options", {})}
    model = model.model_copy(update={"options": options})
    return Ensemble(fitted, model, source, settings, device)


def logits_of(
    team: Ensemble, attention: bool = False
) -> tuple[list[Tensor], dict[str, list[np.ndarray]]]:
    """Logits (n, K), in double precision, by every member; optionally the mean attention.

    They are relative to the training patients as a whole, see `Ensemble.marginal_logits`.
    """
    rows = list(range(len(team.source.patient_ids)))
    members, weights = [], dict[str, list[np.ndarray]]()
    for member in range(team.members):
        network = team.network(member)
        members.append(predict_logits(network, team.source, rows, team.settings).double())
        if attention:
            add_attention(weights, network, team.source, team.settings, 1 / team.members)
    return members, weights


@torch.inference_mode()
def add_attention(
    weights: dict[str, list[np.ndarray]],
    network: nn.Module,
    source: TokenSource,
    settings: TrainingConfig,
    weight: float,
) -> None:
    """Add a member's attention, on what it read alone, to the running mean of each patient."""
    device = next(network.parameters()).device
    rows = list(range(len(source.patient_ids)))
    for chosen in within_budget(rows, [source.bag_size(row) for row in rows], settings):
        batch = source.batch(chosen).to(device)
        for name, values in network(batch, attention=True).attention.items():
            kept = weights.setdefault(name, [np.zeros(0)] * len(rows))
            for row, own in zip(chosen, read_weights(batch, name, values), strict=True):
                kept[row] = kept[row] + weight * own if len(kept[row]) else weight * own
