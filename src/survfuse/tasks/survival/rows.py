"""The rows of the leaderboard of survival: what models predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from survfuse.artifacts.ablations import ModalitySet, read_ablated_risks, read_ablated_survival
from survfuse.artifacts.predictions import match_study, read_predictions
from survfuse.artifacts.study import Study
from survfuse.config.models import ModelConfig
from survfuse.evaluation.repeats import repeats_in
from survfuse.evaluation.rows import ORACLE, PredictedRow, role_of
from survfuse.evaluation.truth import read_true_risk
from survfuse.models.specs import label_of, reads_of
from survfuse.tasks.survival.scores import ModelPredictions, from_table


@dataclass(frozen=True)
class Row(PredictedRow):
    """A leaderboard row before it is scored."""

    predicted: ModelPredictions
    ablated_risk: Mapping[str, np.ndarray] = field(
        default_factory=dict
    )  # by the only modality given
    # survival at the horizons, in months, from some of the inputs
    ablated_survival: Mapping[float, Mapping[ModalitySet, np.ndarray]] = field(default_factory=dict)

    @property
    def n_repeats(self) -> int:
        """Repeats of the folds that it has predictions of, the first ones."""
        return len(self.predicted.risk)


def read_row(
    model: ModelConfig,
    models: Sequence[ModelConfig],
    path: Path,
    ablated_risk: Path | None,
    study: Study,
) -> Row:
    """A model with its predictions and modality ablations, checked with the splits.

    It may have fewer repeats than the study: see `repeats`.
    """
    table = read_predictions(path)
    study = study.first_repeats(repeats_in(table))
    table = match_study(table, study, path)
    reads = reads_of(model, models)
    return Row(
        model=model.name,
        kind=model.kind,
        label=label_of(model),
        role=role_of(model, models),
        modalities=list(reads),
        predicted=from_table(table, study.n_repeats),
        ablated_risk=read_ablated_risks(ablated_risk, study, reads) if ablated_risk else {},
        ablated_survival=read_ablated_survival(ablated_risk, study, reads) if ablated_risk else {},
    )


def oracle_row(truth: Path, study: Study) -> Row:
    """The best that any model could do, the same in every repeat."""
    risk = np.tile(read_true_risk(truth, study), (study.n_repeats, 1))
    return Row(**ORACLE.heading(), predicted=ModelPredictions(risk, {}))
