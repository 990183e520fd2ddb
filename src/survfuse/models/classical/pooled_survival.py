"""Rows that estimate survival from one row of numbers for each patient: what they all share.

A model of this kind is a declaration, `PooledSurvival`: its options, how it learns from a matrix of
pooled features, and how it is stored. What is stored and applied are plain arrays.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.artifacts.prediction import Prediction
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.models.classical.options import Option, covariates_of, settings_of, with_covariates_of
from survfuse.models.classical.pooled import PooledFeatures, fit_pooled
from survfuse.models.estimator import FitContext, PredictContext
from survfuse.models.specs import spec_of

log = logging.getLogger(__name__)


class SurvivalModel(Protocol):
    """A fitted model of a matrix (n, p)."""

    def risk(self, x: np.ndarray) -> np.ndarray:
        """Risks (n,); higher is worse."""

    def survival(self, x: np.ndarray, grid_months: np.ndarray) -> np.ndarray:
        """S(t|x) as (n, len(grid)); NaN where it cannot speak."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""


Model = TypeVar("Model", bound=SurvivalModel)


@dataclass(frozen=True)
class PooledSurvival(Generic[Model]):
    """A kind of model of survival that reads one row of numbers for each patient.

    options: those of a row that are numbers. learn(x, part, seed, **options): the model of the
    standardised columns x (n, p) and what was chosen, as JSON. restore: the inverse of
    `Model.arrays`. validates: whether something is chosen by how candidates that were fitted on the
    training role do on the validation patients. size: which entry of what was chosen is 0 where
    nothing did better than the same curve for everybody. describe(model, columns): more for
    fit.json.
    """

    options: Mapping[str, Option]
    learn: Callable[..., tuple[Model, dict[str, Any]]]
    restore: Callable[[Mapping[str, np.ndarray]], Model]
    validates: bool = False
    size: str = ""
    describe: Callable[[Model, Sequence[str]], dict[str, Any]] | None = None

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse unknown, mistyped or out-of-range options."""
        covariates_of(model, config.cohort)
        settings_of(model, self.options)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Fit features on all training patients, without their outcomes, and the model on them.

        Raises NothingToLearnError where the patients have none of the modalities, or nothing
        varies.
        """
        row, part, ids = context.model, context.part, context.patient_ids
        features = features_of(context)
        x, seed = features.transform(context.inputs, ids), part.seed(context.config.training.seed)
        with logged_warnings(row.name):
            model, chosen = self.learn(x, part, seed, **settings_of(row, self.options))
        if self.size and chosen[self.size] == 0:
            log.warning(
                "%s gained nothing on the validation patients of fold r%df%d; everybody gets the "
                "same curve there",
                *(row.name, part.repeat, part.fold),
            )
        fitted_on = dict.fromkeys(("features", "model"), ids_hash(ids))
        if self.validates:
            fitted_on["candidates"] = ids_hash(part.patient_ids[part.role == "train"].tolist())
        return {**features.arrays(), **model.arrays()}, {
            **features.to_json(),
            **(self.describe(model, features.names) if self.describe else {}),
            "fitted_on": fitted_on,
            "chosen": chosen,
        }

    def predict(self, fitted: FittedModel, context: PredictContext) -> Prediction:
        """Risks and curves, NaN beyond the follow-up of training."""
        features = PooledFeatures.from_stored(fitted.arrays, fitted.fit)
        x = features.transform(context.inputs, context.patient_ids)
        model = self.restore(fitted.arrays)
        survival = model.survival(x, np.array(context.config.grid_months()))
        return Prediction(tuple(context.patient_ids), model.risk(x), survival[None])


def features_of(context: FitContext) -> PooledFeatures:
    """Fit what a row reads on its training patients; absent modalities are named in the log."""
    row, reads = context.model, spec_of(context.model).reads
    with_covariates = with_covariates_of(row, context.config)
    features = fit_pooled(context.inputs, context.patient_ids, reads, with_covariates)
    if absent := [name for name in reads if name not in features.modalities]:
        level = logging.WARNING if "modalities" in row.options else logging.INFO
        log.log(level, "%s: no training patient has %s", row.name, " or ".join(absent))
    return features


@contextmanager
def logged_warnings(row: str) -> Iterator[None]:
    """Send the warnings of the libraries, such as of slow convergence, to the log, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        log.info("%s: %s", row, message)
