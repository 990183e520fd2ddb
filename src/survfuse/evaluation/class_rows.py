"""The rows of a leaderboard of diagnoses: their roles, predictions and order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.config import EvaluationConfig, ModelConfig
from survfuse.errors import UserInputError
from survfuse.evaluation.diagnosis import Diagnosis
from survfuse.evaluation.labelled import LabelledStudy, read_diagnoses, read_shown
from survfuse.evaluation.rows import ORDER, Heading, require_names, role_of
from survfuse.kinds import label_of, reads_of


@dataclass(frozen=True)
class ClassRow(Heading):
    """A leaderboard row before it is scored: one Diagnosis per repeat."""

    config: ModelConfig
    repeats: list[Diagnosis]
    shown: Mapping[str, Diagnosis] = field(default_factory=dict)  # by pattern, first repeat

    @property
    def first(self) -> Diagnosis:
        """The predictions of the first repeat, every patient once."""
        return self.repeats[0]

    @property
    def every(self) -> Diagnosis:
        """The predictions of all repeats, a patient once per repeat, folds told apart."""
        if len(self.repeats) == 1:
            return self.first

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(repeat, name) for repeat in self.repeats])

        folds = 1 + int(joined("fold").max())
        numbers = [folds * r + repeat.fold for r, repeat in enumerate(self.repeats)]
        columns = ("patient", "label", "probability", "synthesised")
        return Diagnosis(fold=np.concatenate(numbers), **{name: joined(name) for name in columns})


def class_role(model: ModelConfig, models: Sequence[ModelConfig], reference: str) -> str:
    """What a row is there for: as `rows.role_of`, but the reference is clinical where it can be.

    That is, where it reads the table alone; others that do so are rows like any of one modality.
    """
    role = role_of(model, models)
    is_reference = model.name == reference and is_clinical(model, models)
    return "clinical" if role == "unimodal" and is_reference else role


def is_clinical(model: ModelConfig, models: Sequence[ModelConfig]) -> bool:
    """Whether a row reads the clinical table and nothing else."""
    return tuple(reads_of(model, models)) == ("clinical",)


def require_class_rows(models: Sequence[ModelConfig], config: EvaluationConfig) -> None:
    """Raise UserInputError if the leaderboard lacks the row that makes the others readable."""
    if not any(is_clinical(model, models) and not model.permute_outcomes for model in models):
        raise UserInputError(
            "models: the leaderboard of a diagnosis needs a row that reads the clinical table "
            "alone; add {name: logistic, kind: logistic}"
        )
    require_names(models, config.reference)


def read_class_row(
    model: ModelConfig,
    models: Sequence[ModelConfig],
    reference: str,
    folder: Path,
    study: LabelledStudy,
) -> ClassRow:
    """A model with its predictions, and those where it is shown less, checked with the splits."""
    path, patterns = folder / f"{model.name}.tsv", folder / f"{model.name}.patterns.tsv"
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
        shown=read_shown(patterns, study) if patterns.is_file() else {},
    )


def class_place(scored: Mapping[str, Any]) -> tuple[int, float, str]:
    """Sort key: site, clinical, models by falling AUROC, controls, oracle."""
    value = scored["discrimination"]["value"]
    return ORDER.get(scored["role"], 2), 1.0 if value is None else -value, scored["model"]
