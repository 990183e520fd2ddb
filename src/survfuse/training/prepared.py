"""A fold that is ready for fitting a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from survfuse.artifacts.checkpoint import Arrays
from survfuse.config.models import ModelConfig
from survfuse.models.networks.interface import FusionModel, Shapes
from survfuse.models.networks.registry import build
from survfuse.training.fit import TrainingRun


@dataclass(frozen=True)
class Prepared:
    """A fold ready to be fitted."""

    run: TrainingRun
    model: ModelConfig
    shapes: Shapes
    arrays: Arrays  # what prediction needs besides the weights
    described: dict[str, Any]

    def build(self) -> FusionModel:
        """A fresh network."""
        return build(self.model.kind, self.shapes, self.model.options)
