"""The state of an unfinished fit, so that it continues exactly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from survfuse.artifacts.checkpoint import under
from survfuse.core.files import atomic_path

SECONDS_BETWEEN_CHECKPOINTS = 60.0

Optimisers = Sequence[torch.optim.Optimizer]


@dataclass(frozen=True)
class State:
    """Weights, the best and the earlier ones, moments of the optimisers by number, progress."""

    tensors: dict[str, Tensor]
    progress: dict[str, Any]

    @property
    def best(self) -> dict[str, Tensor]:
        """The weights of the best epoch so far."""
        return under(self.tensors, "best.")

    @property
    def earlier(self) -> list[dict[str, Tensor]]:
        """The weights after the epochs before the last one, with which it is averaged."""
        places = {name.split(".")[0] for name in under(self.tensors, "earlier.")}
        return [under(self.tensors, f"earlier.{place}.") for place in range(len(places))]

    def restore(self, model: nn.Module, optimisers: Optimisers) -> None:
        """Put weights and moments back; the hyper-parameters come from the configuration."""
        model.load_state_dict(under(self.tensors, "model."))
        for number, optimiser in enumerate(optimisers):
            described = optimiser.state_dict()
            described["state"] = {}
            for name, value in under(self.tensors, f"optimiser{number}.").items():
                index, field = name.split(".", 1)
                described["state"].setdefault(int(index), {})[field] = value
            optimiser.load_state_dict(described)


@dataclass(frozen=True)
class Resume:
    """Where to continue from. A file whose key differs (other settings or data) is ignored."""

    path: Path
    key: str
    seconds_between: float = SECONDS_BETWEEN_CHECKPOINTS

    def read(self) -> State | None:
        """The stored state, if there is one for this key."""
        try:
            with safe_open(self.path, framework="pt") as stored:
                metadata = stored.metadata() or {}
            if metadata.get("key") != self.key:
                return None
            return State(load_file(self.path), json.loads(metadata["progress"]))
        except (FileNotFoundError, SafetensorError):
            return None

    def write(
        self,
        model: nn.Module,
        best: Mapping[str, Tensor],
        optimisers: Optimisers,
        progress: Mapping[str, Any],
        earlier: Iterable[Mapping[str, Tensor]] = (),
    ) -> None:
        """Write the state of a running fit, atomically."""
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in best.items()}
        for place, state in enumerate(earlier):
            tensors |= {f"earlier.{place}.{name}": value for name, value in state.items()}
        for number, optimiser in enumerate(optimisers):
            for index, moments in optimiser.state_dict()["state"].items():
                own = f"optimiser{number}.{index}"
                tensors |= {f"{own}.{field}": value for field, value in moments.items()}
        detached = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        with atomic_path(self.path) as temporary:
            save_file(detached, temporary, {"key": self.key, "progress": json.dumps(progress)})


def copied(model: nn.Module) -> dict[str, Tensor]:
    """A detached copy of the weights on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
