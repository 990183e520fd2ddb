"""The classical rows of a leaderboard: elastic-net Cox, random survival forest, gradient boosting.

All read the same pooled features. scikit-survival fits; what is stored and applied are plain
arrays. Options are checked here, before anything is computed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import FittedModel, ids_hash
from survfuse.artifacts.prediction import Prediction
from survfuse.config.cohort import CohortConfig
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.models.classical.baselines import covariates_of, with_covariates_of
from survfuse.models.classical.cox import CoxModel
from survfuse.models.classical.elastic_net import fit_coxnet
from survfuse.models.classical.pooled import PooledFeatures, fit_pooled
from survfuse.models.classical.tree_ensembles import fit_boosting, fit_forest
from survfuse.models.classical.trees import BoostedTrees, Forest
from survfuse.models.specs import spec_of
from survfuse.splits.training_part import TrainingPart

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Option:
    """Default and inclusive range of a number; the type of the default is the type."""

    default: int | float
    least: int | float
    most: int | float


LISTS = ("modalities", "covariates")  # what a row reads, each all unless configured otherwise
SIZES = {"coxnet": "selected", "boosting": "trees"}  # what is chosen, and may be none
OPTIONS: dict[str, dict[str, Option]] = {
    "coxnet": {"l1_ratio": Option(0.5, 0.01, 1.0)},
    # Ridge by default: a few covariates of a small cohort should shrink and not vanish together.
    "logistic": {"l1_ratio": Option(0.0, 0.0, 1.0)},
    "rsf": {"trees": Option(200, 1, 10_000), "min_samples_leaf": Option(10, 1, 10_000)},
    "boosting": {
        "trees": Option(100, 1, 10_000),
        "learning_rate": Option(0.1, 0.001, 1.0),
        "subsample": Option(0.5, 0.1, 1.0),
        "max_depth": Option(2, 1, 10),
        "min_samples_leaf": Option(10, 1, 10_000),
    },
}


def check_classical(model: ModelConfig, cohort: CohortConfig) -> None:
    """Refuse unknown, mistyped or out-of-range options. Raises UserInputError naming the row."""
    spec_of(model)  # checks the list of modalities
    covariates_of(model, cohort)
    settings_of(model)


def settings_of(model: ModelConfig) -> dict[str, Any]:
    """The options of a row that are numbers, the ones not given at their defaults."""
    known = OPTIONS[model.kind]
    settings: dict[str, Any] = {name: option.default for name, option in known.items()}
    for name, value in model.options.items():
        if name in LISTS:
            continue
        if name not in known:
            raise UserInputError(
                f"models.{model.name}: {model.kind} has no option {name!r}; its options are "
                f"{', '.join([*LISTS, *known])}"
            )
        option = known[name]
        whole = isinstance(option.default, int)
        fits = type(value) is int or (type(value) is float and not whole)
        if not fits or not option.least <= value <= option.most:
            raise UserInputError(
                f"models.{model.name}: options.{name} must be a {'whole ' if whole else ''}number "
                f"from {option.least} to {option.most}, found {value!r}"
            )
        settings[name] = value
    return settings


def fit_classical(
    config: Config, model: ModelConfig, part: TrainingPart, inputs: CohortInputs
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Fit a classical row on the training part of a fold; returns what is to be stored.

    Features are fitted on all training patients, without their outcomes. Raises UserInputError
    where the patients have none of the modalities, or nothing varies.
    """
    patient_ids = part.patient_ids.tolist()
    settings, seed = settings_of(model), part.seed(config.training.seed)
    reads = spec_of(model).reads
    features = fit_pooled(inputs, patient_ids, reads, with_covariates_of(model, config))
    if absent := [name for name in reads if name not in features.modalities]:
        level = logging.WARNING if "modalities" in model.options else logging.INFO
        log.log(level, "%s: no training patient has %s", model.name, " or ".join(absent))
    x = features.transform(inputs, patient_ids)
    fitted_ids = ids_hash(patient_ids)
    fitted_on = {"features": fitted_ids, "model": fitted_ids}
    if model.kind != "rsf":
        fitted_on["candidates"] = ids_hash(part.patient_ids[part.role == "train"].tolist())
    described = {**features.to_json(), "fitted_on": fitted_on}
    arrays: dict[str, np.ndarray]
    with logged_warnings(model.name):
        if model.kind == "coxnet":
            cox, chosen = fit_coxnet(x, part, **settings)
            arrays = {f"cox.{name}": value for name, value in vars(cox).items()}
            described["hazard_ratios"] = hazard_ratios(cox.coefficients, features.names)
        elif model.kind == "rsf":
            forest, chosen = fit_forest(x, part, seed, **settings)
            arrays = forest.arrays()
        else:
            boosted, chosen = fit_boosting(x, part, seed, **settings)
            arrays = boosted.arrays()
    if chosen.get(SIZES.get(model.kind, "")) == 0:
        log.warning(
            "%s gained nothing on the validation patients of fold r%df%d; everybody gets the "
            "same curve there",
            *(model.name, part.repeat, part.fold),
        )
    return {**features.arrays(), **arrays}, {**described, "chosen": chosen}


def predict_classical(
    fitted: FittedModel,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    grid_months: np.ndarray,
) -> Prediction:
    """Predict with a stored classical row; survival is NaN beyond the follow-up of training."""
    arrays = fitted.arrays
    x = PooledFeatures.from_stored(arrays, fitted.fit).transform(inputs, patient_ids)
    model: CoxModel | Forest | BoostedTrees
    if fitted.kind == "coxnet":
        model = CoxModel(**fitted.under("cox."))
    elif fitted.kind == "rsf":
        model = Forest.from_arrays(arrays)
    else:
        model = BoostedTrees.from_arrays(arrays)
    survival = model.survival(x, grid_months)
    return Prediction(tuple(patient_ids), model.risk(x), survival[None])


def hazard_ratios(beta: np.ndarray, names: Sequence[str]) -> list[dict[str, float | str]]:
    """The columns that were selected, the strongest first, for the model card."""
    order = np.argsort(-np.abs(beta), kind="stable")[: np.count_nonzero(beta)]
    return [
        {"covariate": names[column], "hazard_ratio_per_sd": float(np.exp(beta[column]))}
        for column in order
    ]


@contextmanager
def logged_warnings(row: str) -> Iterator[None]:
    """Send the warnings of the libraries, such as of slow convergence, to the log, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        log.info("%s: %s", row, message)
