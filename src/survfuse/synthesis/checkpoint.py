"""The state of an unfinished fit, so that it continues exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from survfuse.files import atomic_path

Optimisers = Sequence[torch.optim.Optimizer]


@dataclass(frozen=True)
class State:
    """Weights, the best ones so far, moments of the optimisers by number, and the course."""

    tensors: dict[str, Tensor]
    course: dict[str, Any]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix, with the prefix removed."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.tensors.items()
            if name.startswith(prefix)
        }

    def restore(self, model: nn.Module, optimisers: Optimisers) -> dict[str, Tensor]:
        """Put weights and moments back; returns the best weights so far."""
        model.load_state_dict(self.under("model."))
        for number, optimiser in enumerate(optimisers):
            described = optimiser.state_dict()
            described["state"] = {}
            for name, value in self.under(f"optimiser{number}.").items():
                index, field = name.split(".", 1)
                described["state"].setdefault(int(index), {})[field] = value
            optimiser.load_state_dict(described)
        return self.under("best.")


def write_state(
    path: Path,
    key: str,
    model: nn.Module,
    best: Mapping[str, Tensor],
    optimisers: Optimisers,
    course: Mapping[str, Any],
) -> None:
    """Write the state of a running fit, atomically."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for number, optimiser in enumerate(optimisers):
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {
                f"optimiser{number}.{index}.{field}": value for field, value in state.items()
            }
    detached = {name: value.detach().cpu().clone() for name, value in tensors.items()}
    contiguous = {name: value.contiguous() for name, value in detached.items()}
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary, {"key": key, "course": json.dumps(course)})


def read_state(path: Path, key: str) -> State | None:
    """The state of an interrupted fit, or None if there is none for this key."""
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata()
            if metadata.get("key") != key:
                return None
            names = stored.keys()
            tensors = {name: stored.get_tensor(name) for name in names}
    except (FileNotFoundError, SafetensorError):
        return None
    return State(tensors, json.loads(metadata["course"]))
