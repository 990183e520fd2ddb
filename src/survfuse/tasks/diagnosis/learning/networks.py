"""What networks learn of a diagnosis: the probabilities of the classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from survfuse.artifacts.checkpoint import Arrays
from survfuse.artifacts.prediction import ClassPrediction, Predicted
from survfuse.config.study import Config
from survfuse.models.estimator import FitContext
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.diagnosis.asked import asked_of
from survfuse.tasks.diagnosis.learning.missingness import strata_of
from survfuse.tasks.diagnosis.learning.targets import training_classes
from survfuse.tasks.diagnosis.outcomes import Classes
from survfuse.tasks.diagnosis.thresholds import threshold_of, threshold_patients
from survfuse.training.ensemble import Ensemble, logits_of
from survfuse.training.missingness_association import OutcomeStrata
from survfuse.training.network_task import NetworkTask
from survfuse.training.targets import TrainingTargets


class NetworkDiagnosis(NetworkTask):
    """Any network that can tell classes apart."""

    def least_outputs(self, config: Config) -> int:
        """One for each class."""
        return len(asked_of(config.cohort).classes)

    def targets(
        self, config: Config, part: TrainingPart, fitting: np.ndarray
    ) -> tuple[TrainingTargets, Arrays]:
        """Classes, and their frequencies."""
        known = part.outcome_as(Classes)
        classes = training_classes(known.label, len(known.names), fitting, known.weight())
        return classes, {"marginal_logits": classes.marginal}

    def strata(self, part: TrainingPart, fitted: np.ndarray) -> OutcomeStrata:
        """The classes."""
        return strata_of(part.outcome_as(Classes), fitted)

    def predict(self, team: Ensemble, config: Config, attention: bool) -> ClassPrediction:
        """The mean of the ensemble, the same where it is asked for what is held out."""
        return diagnose_neural(team, attention)

    def after_fit(
        self, context: FitContext, predict: Callable[[Sequence[str]], Predicted]
    ) -> Arrays:
        """The threshold, chosen on what the ensemble says of validation."""
        part = context.part
        said = predict(part.patient_ids[threshold_patients(part)].tolist())
        assert isinstance(said, ClassPrediction)
        return {"threshold": threshold_of(said.probability, part)}


def diagnose_neural(team: Ensemble, attention: bool = False) -> ClassPrediction:
    """Probabilities of the classes by every member; optionally with attention per patient."""
    logits, weights = logits_of(team, attention)
    members = [(one + team.marginal_logits()).softmax(dim=1).numpy() for one in logits]
    threshold = team.fitted.arrays.get("threshold", np.array([np.nan]))
    return ClassPrediction(
        team.source.patient_ids,
        np.stack(members),
        float(threshold[0]),
        team.source.synthesised(),
        weights,
    )


NETWORKS = NetworkDiagnosis()
