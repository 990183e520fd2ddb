"""The rows of a leaderboard of diagnoses: their roles, predictions and order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.artifacts.layout import PredictionsFolder
from survfuse.config.evaluation import EvaluationConfig
from survfuse.config.models import ModelConfig
from survfuse.config.study import LeftOut
from survfuse.core.errors import UserInputError
from survfuse.evaluation.roles import ORDER
from survfuse.modalities.registry import PATIENT_TABLE
from survfuse.models.specs import label_of, reads_of
from survfuse.tasks.diagnosis.metrics import DiagnosisMetric, ranking_of
from survfuse.tasks.diagnosis.scored import ClassPredictions
from survfuse.tasks.diagnosis.study import ClassStudy, read_ablated_diagnoses, read_diagnoses
from survfuse.tasks.survival.rows import Heading, require_names, role_of


@dataclass(frozen=True)
class ClassRow(Heading):
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
    """The role of a row: as `rows.role_of`, but the reference is clinical where it can be.

    That is, where it reads the table alone; others that do so are rows like any of one modality.
    """
    role = role_of(model, models)
    is_reference = model.name == reference and is_clinical(model, models)
    return "clinical" if role == "unimodal" and is_reference else role


def is_clinical(model: ModelConfig, models: Sequence[ModelConfig]) -> bool:
    """Whether a row reads the clinical table and nothing else."""
    return tuple(reads_of(model, models)) == (PATIENT_TABLE,)


def require_class_rows(
    models: Sequence[ModelConfig], config: EvaluationConfig, left_out: Sequence[LeftOut] = ()
) -> None:
    """Raise UserInputError if the leaderboard lacks a row that makes the others readable.

    Unless it is among those that this cohort cannot have.
    """
    there = any(is_clinical(model, models) and not model.permute_outcomes for model in models)
    if not there and not any(one.role == "clinical" for one in left_out):
        raise UserInputError(
            "models: the leaderboard of a diagnosis needs a row that reads the clinical table "
            "alone; add {name: logistic, kind: logistic}"
        )
    controls = any(model.permute_outcomes for model in models)
    if not controls and not any(one.role == "control" for one in left_out):
        raise UserInputError(
            "models: the leaderboard needs a control trained on permuted outcomes; add a row such "
            "as {name: logistic_permuted, kind: logistic, permute_outcomes: true}"
        )
    require_names(models, config.reference)


def read_class_row(
    model: ModelConfig,
    models: Sequence[ModelConfig],
    reference: str,
    folder: Path,
    study: ClassStudy,
) -> ClassRow:
    """A model with its predictions and modality ablations, checked with the splits."""
    files = PredictionsFolder(folder)
    path, ablations = files.table(model.name), files.ablations(model.name)
    if not path.is_file():
        raise UserInputError(f"{path}: there are no predictions of this row; run predict first")
    return ClassRow(
        model=model.name,
        kind=model.kind,
        label=label_of(model),
        role=class_role(model, models, reference),
        modalities=list(reads_of(model, models)),
        config=model,
        repeats=read_diagnoses(path, study),
        ablations=read_ablated_diagnoses(ablations, study) if ablations.is_file() else {},
    )


def class_sort_key(scored: Mapping[str, Any]) -> tuple[int, float, str]:
    """Sort key: site, clinical, models by the ranking metric, the best first, controls, oracle."""
    value = scored["discrimination"]["value"]
    return ORDER.get(scored["role"], 2), 1.0 if value is None else -value, scored["model"]
