"""The rows of a leaderboard of diagnoses: their roles and what models predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from survfuse.config.models import ModelConfig
from survfuse.evaluation.files import EvaluationFiles
from survfuse.evaluation.roles import CLINICAL
from survfuse.evaluation.rows import PredictedRow, role_of
from survfuse.models.specs import label_of, reads_of
from survfuse.tasks.diagnosis.mandatory import is_clinical
from survfuse.tasks.diagnosis.metrics import DiagnosisMetric, ranking_of
from survfuse.tasks.diagnosis.scored import ClassPredictions
from survfuse.tasks.diagnosis.study import ClassStudy, read_ablated_diagnoses, read_diagnoses


@dataclass(frozen=True)
class ClassRow(PredictedRow):
    """A leaderboard row before it is scored: its predictions, once per repeat."""

    config: ModelConfig
    repeats: list[ClassPredictions]
    ablations: Mapping[str, ClassPredictions] = field(
        default_factory=dict
    )  # by inputs, first repeat

    @property
    def n_repeats(self) -> int:
        """Repeats of the folds that it has predictions of, the first ones."""
        return len(self.repeats)

    def first_repeats(self, number: int) -> ClassRow:
        """The row with the predictions of the first repeats alone."""
        return replace(self, repeats=self.repeats[:number])

    @property
    def ranking(self) -> DiagnosisMetric[Any, Any]:
        """The metric by which rows of its classes are ordered and compared."""
        return ranking_of(self.first.probability.shape[1])

    @property
    def first(self) -> ClassPredictions:
        """The predictions of the first repeat, every patient once."""
        return self.repeats[0]

    @property
    def every(self) -> ClassPredictions:
        """The predictions of all repeats, a patient once per repeat, folds numbered throughout."""
        if len(self.repeats) == 1:
            return self.first

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(repeat, name) for repeat in self.repeats])

        folds = 1 + int(joined("fold").max())
        numbers = [folds * r + repeat.fold for r, repeat in enumerate(self.repeats)]
        columns = ("patient", "label", "probability", "synthesised", "weight")
        return ClassPredictions(
            fold=np.concatenate(numbers), **{name: joined(name) for name in columns}
        )


def class_role(model: ModelConfig, models: Sequence[ModelConfig], reference: str) -> str:
    """The role of a row: as `role_of` says, but the reference is clinical where it can be.

    That is, where it reads the table alone; others that do so are rows like any of one modality.
    """
    role = role_of(model, models)
    is_reference = model.name == reference and is_clinical(model, models)
    return CLINICAL if role == "unimodal" and is_reference else role


def read_class_row(
    model: ModelConfig,
    models: Sequence[ModelConfig],
    reference: str,
    files: EvaluationFiles,
    study: ClassStudy,
) -> ClassRow:
    """A model with its predictions and modality ablations, checked with the splits."""
    ablations = files.ablations(model.name)
    return ClassRow(
        model=model.name,
        kind=model.kind,
        label=label_of(model),
        role=class_role(model, models, reference),
        modalities=list(reads_of(model, models)),
        config=model,
        repeats=read_diagnoses(files.predicted(model.name), study),
        ablations=read_ablated_diagnoses(ablations, study) if ablations else {},
    )
