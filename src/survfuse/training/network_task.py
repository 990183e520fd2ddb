"""What networks learn of a task, and how their logits are read: see `Task.networks`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from survfuse.artifacts.checkpoint import Arrays
from survfuse.artifacts.prediction import Predicted
from survfuse.config.study import Config
from survfuse.core.by_name import named
from survfuse.models.estimator import FitContext
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.loading import task_of
from survfuse.training.ensemble import Ensemble
from survfuse.training.missingness_association import OutcomeStrata
from survfuse.training.targets import TrainingTargets


class NetworkTask(ABC):
    """Targets and loss, strata for masking, and predictions."""

    @abstractmethod
    def least_outputs(self, config: Config) -> int:
        """The fewest outputs that a network of this configuration can have."""

    @abstractmethod
    def targets(
        self, config: Config, part: TrainingPart, fitting: np.ndarray
    ) -> tuple[TrainingTargets, Arrays]:
        """The targets of the patients of a fold, and what prediction needs of them.

        `fitting` (n,) bool: the patients that bins and frequencies are fitted on.
        """

    @abstractmethod
    def strata(self, part: TrainingPart, fitted: np.ndarray) -> OutcomeStrata:
        """Strata in which missing modalities are equalised; `fitted` (n,) as in `fit_masking`."""

    @abstractmethod
    def predict(self, team: Ensemble, config: Config, attention: bool) -> Predicted:
        """What the ensemble says of its patients."""

    def after_fit(
        self, context: FitContext, predict: Callable[[Sequence[str]], Predicted]
    ) -> Arrays:
        """What is chosen by predictions of training patients, such as a threshold."""
        return {}


def networks_of(config: Config) -> NetworkTask:
    """That of the task of a run."""
    networks: NetworkTask = named(task_of(config).networks)
    return networks
