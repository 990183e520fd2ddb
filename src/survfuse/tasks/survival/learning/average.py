"""The average training patient: the Nelson-Aalen estimate, and a risk of 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from survfuse.artifacts.checkpoint import Arrays
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import Prediction
from survfuse.config.study import Config
from survfuse.models.classical.cox import CoxModel, fit_cox
from survfuse.splits.training_part import TrainingPart


class AverageHazard:
    """The cumulative hazard of all training patients."""

    def fit(self, part: TrainingPart) -> Arrays:
        """A Cox model of no columns."""
        followed = part.outcome_as(FollowUp)
        nobody = np.empty((len(part.patient_ids), 0))
        curve = fit_cox(nobody, followed.time_months, followed.event)
        return {"times": curve.times, "hazard": curve.hazard}

    def predict(self, arrays: Arrays, patient_ids: Sequence[str], config: Config) -> Prediction:
        """One curve for all."""
        curve, nothing = CoxModel(np.empty(0), **arrays), np.empty((len(patient_ids), 0))
        survival = curve.survival(nothing, np.array(config.grid_months()))
        return Prediction(tuple(patient_ids), curve.risk(nothing), survival[None])


AVERAGE = AverageHazard()
