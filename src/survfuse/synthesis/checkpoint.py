"""The state of an unfinished fit, so that it continues exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from survfuse.files import atomic_path
from survfuse.training.checkpoint import moments, read_stored, restore_moments, under

Optimisers = Sequence[torch.optim.Optimizer]


@dataclass(frozen=True)
class State:
    """Weights, the best ones so far, moments of the optimisers by number, and the course."""

    tensors: dict[str, Tensor]
    course: dict[str, Any]

    def restore(self, model: nn.Module, optimisers: Optimisers) -> dict[str, Tensor]:
        """Put weights and moments back; returns the best weights so far."""
        model.load_state_dict(under(self.tensors, "model."))
        for number, optimiser in enumerate(optimisers):
            restore_moments(optimiser, under(self.tensors, f"optimiser{number}."))
        return under(self.tensors, "best.")


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
        remembered = moments(optimiser)
        tensors |= {f"optimiser{number}.{name}": value for name, value in remembered.items()}
    detached = {name: value.detach().cpu().clone() for name, value in tensors.items()}
    contiguous = {name: value.contiguous() for name, value in detached.items()}
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary, {"key": key, "course": json.dumps(course)})


def read_state(path: Path, key: str) -> State | None:
    """The state of an interrupted fit, or None if there is none for this key."""
    stored = read_stored(path, key)
    if stored is None:
        return None
    tensors, metadata = stored
    return State(tensors, json.loads(metadata["course"]))
