"""The outcomes of all training patients of a fold, as networks learn from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch

from survfuse.artifacts.checkpoint import Arrays
from survfuse.models.networks.interface import Targets


class TrainingTargets(ABC):
    """The targets of n patients, of which those of a batch are taken.

    marginal: (K,) the logits of the patients to fit on as a whole; K is how many outputs a network
    has. loss: how fit.json calls the loss that `Targets` hold.
    """

    marginal: np.ndarray
    loss: str

    @property
    @abstractmethod
    def groups(self) -> np.ndarray:
        """(n,) whole numbers from 0, by which inner folds are stratified."""

    @abstractmethod
    def of(self, rows: Sequence[int], device: torch.device | str = "cpu") -> Targets:
        """The targets of some patients."""

    def baseline(self, rows: Sequence[int], logits: Callable[[], np.ndarray]) -> Arrays:
        """What predictions of a fitted network need besides its weights; nothing by default.

        `logits` computes those (len(rows), K) of the patients that it was trained on.
        """
        return {}
