"""Estimates of survival for patients who were in no study, from the models of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from survfuse.artifacts.evaluation import SurvivalEvaluation, read_evaluation
from survfuse.artifacts.layout import ResultsFolder
from survfuse.artifacts.prediction import Prediction
from survfuse.artifacts.study import read_study
from survfuse.config.study import Config
from survfuse.core.messages import marked
from survfuse.evaluation.absolute_risk import inputs_of
from survfuse.evaluation.frozen_risks import freeze_risks
from survfuse.evaluation.new_estimates import horizon_estimates
from survfuse.models.specs import find_model
from survfuse.statistics.availability import read_availability
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import HorizonError
from survfuse.tasks.sheet_words import SheetWords
from survfuse.tasks.survival.frozen_bound import bounds, freeze_bound
from survfuse.tasks.survival.rows import read_row

WORDS = SheetWords(
    about=marked(
        "It is about how an illness goes on: of people who are like you in what was examined, how "
        "many have which course in the time after."
    ),
    limits=marked(
        "It says nothing of which treatment is good for you, and nothing of what you can do "
        "yourself. People with the same estimate fare very differently."
    ),
    whom=marked(
        "Such numbers can weigh on you. Many hospitals have people who help with that, such as "
        "psychologists, social workers or pastoral care; ask who it is here."
    ),
    questions=(
        marked("What do we know about my illness without this number?"),
        marked("Which treatments are there for me, and what do they do?"),
        marked("Was anything missing for the estimate, and does that matter?"),
    ),
)


def freeze(config: Config, results: ResultsFolder, name: str) -> dict[str, Any]:
    """What a package keeps of a row: `horizons` by months, and the `reasons` where there is none.

    And the `bound`, see `frozen_bound`; `tau_months` is the truncation of the study's metrics.

    Raises UserInputError where tables are absent or do not match.
    """
    tau = cast(SurvivalEvaluation, read_evaluation(results.evaluation.scores))["tau_months"]
    study = read_study(results.cohort.outcomes, results.splits.table)
    present = read_availability(results.predictions.availability, study)
    predictions = results.predictions
    ablations = predictions.ablations(name)
    row = read_row(
        find_model(config, name),
        config.models,
        predictions.table(name),
        ablations if ablations.is_file() else None,
        study,
    )
    own, confidence = study.first_repeats(row.n_repeats), config.evaluation.confidence
    horizons, reasons = {}, {}
    for months in config.evaluation.horizons_months:
        if months > tau:
            reasons[f"{months:g}"] = (
                f"{months:g} months lie beyond {tau:.0f} months, up to which "
                "enough patients of the study were followed"
            )
            continue
        try:
            survival, ablated = row.predicted.survival_at(months), row.ablated_survival.get(months)
            inputs = inputs_of(row.modalities, present)
            frozen = freeze_risks(own, survival, months, confidence, inputs, ablated)
            horizons[f"{months:g}"] = frozen.as_json()
        except (HorizonError, NotEstimableError) as error:
            reasons[f"{months:g}"] = str(error)
    bound = freeze_bound(config, results, own, row.predicted)
    return {"horizons": horizons, "reasons": reasons, "bound": bound, "tau_months": tau}


def estimates(
    frozen: Mapping[str, Any],
    predictions: Mapping[str, Prediction],
    has: Mapping[str, np.ndarray],
    config: Config,
) -> list[dict[str, Any]]:
    """Of each patient the risk at each horizon; none falls below that of an earlier one.

    And `event_free_bound`, see `frozen_bound`; null where the study does not bear it out.
    """
    grid = config.grid_months()

    def survival_at(months: float) -> dict[str, np.ndarray]:
        column = grid.index(months)
        return {fold: one.survival[:, column] for fold, one in predictions.items()}

    curves = np.stack([one.survival for one in predictions.values()]).mean(axis=0)
    until = bounds(frozen["bound"], np.array(grid), curves)
    by_horizon = horizon_estimates(frozen, survival_at, has, len(curves))
    return [{**one, "event_free_bound": free} for one, free in zip(by_horizon, until, strict=True)]
