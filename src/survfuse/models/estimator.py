"""What every kind of model can do, and the context that it is given for it.

An estimator keeps nothing: what it learns it returns as arrays and a description, which training
stores and hands back for prediction. Which one stands behind a kind of model and a task, the table
in `models.registry` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from survfuse.artifacts.checkpoint import Arrays, FittedModel
from survfuse.artifacts.prediction import Predicted
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.splits.training_part import TrainingPart


class NothingToLearnError(UserInputError):
    """The training part of a fold holds nothing that a row could learn from; says what."""


@dataclass(frozen=True)
class OtherRows:
    """What a row that averages others may ask of them; they are fitted on the same fold.

    predict(row, patient_ids, held_out): what another row predicts, of the same task and from the
    same inputs, `held_out` as in `PredictContext`. read(row): the modalities that it has learned to
    read.
    """

    predict: Callable[[str, Sequence[str], bool], Any]
    read: Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Refit:
    """Another row as fitted on some of the training patients of a fold.

    predict(patient_ids): what it says of any of the training patients. read: the modalities that it
    has learned to read.
    """

    predict: Callable[[Sequence[str]], Any]
    read: Sequence[str]


@dataclass(frozen=True)
class FitContext:
    """One row of the leaderboard and the training part of one fold.

    inputs: of the training patients alone. refit(row, part): fits another row on some of the
    training patients; raises NothingToLearnError as that row does. device: auto, cpu or cuda.
    scratch: a folder for unfinished work, which is recognised by `key`, the hash of all that the
    fit depends on.
    """

    config: Config
    model: ModelConfig
    part: TrainingPart
    inputs: CohortInputs
    others: OtherRows
    refit: Callable[[str, TrainingPart], Refit]
    device: str
    scratch: Path
    key: str

    @property
    def patient_ids(self) -> list[str]:
        """Everybody in the training part, for validation too."""
        ids: list[str] = self.part.patient_ids.tolist()
        return ids


@dataclass(frozen=True)
class PredictContext:
    """A fitted row and the patients that it is asked about.

    attention: whether to return it, where the model has any. held_out: whether to predict without
    what was learned from the validation patients, as a threshold that is chosen on them needs;
    estimators that fit no such model predict as ever.
    """

    config: Config
    model: ModelConfig
    inputs: CohortInputs
    patient_ids: Sequence[str]
    others: OtherRows
    device: str
    attention: bool = False
    held_out: bool = False


class Estimator(Protocol):
    """A kind of model for one task."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse options that it does not know or that do not fit the cohort, before any compute.

        Raises UserInputError naming the row.
        """

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Learn from the training part of a fold alone; returns what is stored.

        Of the description, `modalities` lists what predictions are made from, and `fitted_on` the
        hash of the patients that each fitted part has seen. Raises NothingToLearnError where there
        is nothing to learn; the row then predicts the average training patient.
        """

    def predict(self, fitted: FittedModel, context: PredictContext) -> Predicted:
        """Predict patients, from what they have of the modalities and in their order."""
