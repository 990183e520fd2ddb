"""The networks as estimators: one for every network of the registry and every task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from survfuse.artifacts.checkpoint import Arrays, FittedModel
from survfuse.artifacts.prediction import Predicted
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.device import choose_device
from survfuse.models.estimator import FitContext, PredictContext
from survfuse.training.ensemble import ensemble
from survfuse.training.network_task import networks_of
from survfuse.training.neural import check_options, fit_neural, prepare


class Network:
    """Any network, for any task that says what networks learn of it."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse unknown, mistyped and immense options."""
        check_options(config, model)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Fit the ensemble of a fold, then what the task chooses by its predictions."""
        device = choose_device(context.device)
        prepared = prepare(context.config, context.model, context.part, context.inputs)
        arrays, described = fit_neural(prepared, context.scratch, context.key, device)
        fitted = FittedModel(context.model.kind, arrays, described)
        asked = PredictContext(
            context.config, context.model, context.inputs, [], context.others, context.device
        )

        def predict(patient_ids: Sequence[str]) -> Predicted:
            return self.predict(fitted, replace(asked, patient_ids=patient_ids))

        return {**arrays, **networks_of(context.config).after_fit(context, predict)}, described

    def predict(self, fitted: FittedModel, context: PredictContext) -> Predicted:
        """What the ensemble says, the same where it is asked for what is held out."""
        team = ensemble(
            fitted,
            context.model,
            context.inputs,
            context.patient_ids,
            context.config.training,
            choose_device(context.device),
        )
        return networks_of(context.config).predict(team, context.config, context.attention)


NETWORK = Network()
