"""The networks as estimators: one for each task, the same for every network of the registry."""

from __future__ import annotations

from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel
from survfuse.artifacts.prediction import ClassPrediction, Prediction
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.device import choose_device
from survfuse.models.estimator import FitContext, PredictContext
from survfuse.tasks.diagnosis.thresholds import threshold_of, threshold_patients
from survfuse.training.ensemble import Ensemble, diagnose_neural, ensemble, predict_neural
from survfuse.training.neural import check_options, fit_neural, prepare


def fit_network(context: FitContext) -> tuple[Arrays, dict[str, Any]]:
    """Fit the ensemble of a fold."""
    device = choose_device(context.device)
    prepared = prepare(context.config, context.model, context.part, context.inputs)
    return fit_neural(prepared, context.scratch, context.key, device)


def team_of(fitted: FittedModel, context: PredictContext) -> Ensemble:
    """The fitted ensemble with the patients that it is to predict."""
    return ensemble(
        fitted,
        context.model,
        context.inputs,
        context.patient_ids,
        context.config.training,
        choose_device(context.device),
    )


class NetworkSurvival:
    """Any network, for survival."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse unknown, mistyped and immense options."""
        check_options(config, model)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Fit the ensemble of a fold."""
        return fit_network(context)

    def predict(self, fitted: FittedModel, context: PredictContext) -> Prediction:
        """The mean of the ensemble."""
        grid = np.array(context.config.grid_months())
        return predict_neural(team_of(fitted, context), grid, context.attention)


class NetworkDiagnosis:
    """Any network that can tell classes apart."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse unknown, mistyped and immense options."""
        check_options(config, model)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Fit the ensemble of a fold, then choose the threshold on what it says of validation."""
        arrays, described = fit_network(context)
        fitted = FittedModel(context.model.kind, arrays, described)
        ids = context.part.patient_ids[threshold_patients(context.part)].tolist()
        asked = PredictContext(
            context.config, context.model, context.inputs, ids, context.others, context.device
        )
        threshold = threshold_of(self.predict(fitted, asked).probability, context.part)
        return {**arrays, "threshold": threshold}, described

    def predict(self, fitted: FittedModel, context: PredictContext) -> ClassPrediction:
        """The mean of the ensemble, the same where it is asked for what is held out."""
        return diagnose_neural(team_of(fitted, context), context.attention)


SURVIVAL = NetworkSurvival()
DIAGNOSIS = NetworkDiagnosis()
