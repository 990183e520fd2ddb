"""Diagnoses of patients who were in no study, from the models of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.layout import ResultsFolder
from survfuse.artifacts.prediction import ClassPrediction
from survfuse.artifacts.study import Study
from survfuse.config.study import Config
from survfuse.core.event_words import DEMENTIA
from survfuse.core.messages import marked
from survfuse.evaluation.absolute_risk import inputs_of
from survfuse.evaluation.files import EvaluationFiles
from survfuse.evaluation.frozen_risks import freeze_risks
from survfuse.evaluation.new_estimates import horizon_estimates
from survfuse.evaluation.observed import FEWEST, beside, by_follow_up
from survfuse.models.specs import find_model
from survfuse.statistics.availability import read_availability
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import HorizonError
from survfuse.statistics.proportions import wilson
from survfuse.tasks.diagnosis.asked import asked_of
from survfuse.tasks.diagnosis.classes import UNKNOWN
from survfuse.tasks.diagnosis.risks import ablated_survival
from survfuse.tasks.diagnosis.rows import read_class_row
from survfuse.tasks.diagnosis.study import read_labelled
from survfuse.tasks.sheet_words import SheetWords

MEMORY_CLINIC = SheetWords(
    about=marked(
        "It is about memory and thinking: of people who are like you in what was examined, how "
        "many develop dementia in the time after, and how many do not."
    ),
    limits=marked(
        "It is no diagnosis. A number like this can be high although memory stays as it is, and "
        "low although it gets worse."
    ),
    whom=marked(
        "The team of the memory clinic knows such estimates and their limits. There are also "
        "advice centres on memory and dementia, for you and for those who are close to you; ask "
        "which of them is near."
    ),
    questions=(
        marked("What did the tests of my memory and the scans show without this number?"),
        marked("What else can make memory worse, and can it be treated?"),
        marked("When should my memory be tested again?"),
    ),
)
ANY = SheetWords(
    about=marked(
        "It is about a diagnosis: of people who are like you in what was examined, how many belong "
        "to which group."
    ),
    limits=marked("It is no diagnosis, and it replaces no examination."),
    whom=marked(
        "If the question itself worries you, say so. You need not wait for a next appointment to "
        "ask."
    ),
    questions=(
        marked("What did my examinations show without this number?"),
        marked("Which examination would tell for certain?"),
        marked("Was anything missing for the estimate, and does that matter?"),
    ),
)


def freeze(config: Config, results: ResultsFolder, name: str) -> dict[str, Any]:
    """What a package keeps of a row: the `classes` with their `shares` of the study.

    Of a diagnosis at a horizon also what `tasks.survival.new_patients.freeze` keeps, of that one.
    Raises UserInputError where tables are absent or do not match.
    """
    asked, confidence = asked_of(config.cohort), config.evaluation.confidence
    study = read_labelled(
        results.cohort.outcomes, results.splits.table, asked.classes, asked.horizon_months
    )
    known = study.label >= 0
    shares = [
        float(np.average(study.label[known] == number, weights=study.weight[known]))
        for number in range(len(asked.classes))
    ]
    frozen: dict[str, Any] = {"classes": list(asked.classes), "shares": shares}
    frozen |= {"horizons": {}, "reasons": {}}
    months, outcome = asked.horizon_months, study.outcome
    if months is None or outcome is None:
        return frozen
    files = EvaluationFiles(
        results.cohort.outcomes,
        results.splits.table,
        results.predictions.root,
        results.evaluation.scores,
    )
    model = find_model(config, name)
    row = read_class_row(model, config.models, config.evaluation.reference, files, study)
    own, ablations = study.first_repeats(row.n_repeats), files.ablations(name)
    followed = Study(own.patient_ids, outcome, own.folds)
    present = read_availability(results.predictions.availability, study)
    survival = np.stack([1 - one.probability[:, 1] for one in row.repeats])
    ablated = ablated_survival(ablations, own, row) if ablations else {}
    inputs = inputs_of(row.modalities, present)
    try:
        kept = freeze_risks(followed, survival, months, confidence, inputs, ablated)
        frozen["horizons"] = {f"{months:g}": kept.as_json()}
    except (HorizonError, NotEstimableError) as error:
        frozen["reasons"] = {f"{months:g}": str(error)}
    return frozen


def estimates(
    frozen: Mapping[str, Any],
    predictions: Mapping[str, ClassPrediction],
    has: Mapping[str, np.ndarray],
    _config: Config,
) -> list[dict[str, Any]]:
    """Of each patient the probability of each class: the mean over the models, and their range.

    Of a diagnosis at a horizon also the risk by then, recalibrated on the study.
    """
    every = np.stack([one.probability for one in predictions.values()])  # (folds, n, K)
    mean, low, high = every.mean(axis=0), every.min(axis=0), every.max(axis=0)

    def survival_at(_months: float) -> dict[str, np.ndarray]:
        return {fold: 1 - one.probability[:, 1] for fold, one in predictions.items()}

    by_horizon = horizon_estimates(frozen, survival_at, has, len(mean))
    return [
        {
            **by_horizon[row],
            "classes": [
                {
                    "name": name,
                    "probability": float(mean[row, number]),
                    "lowest_of_models": float(low[row, number]),
                    "highest_of_models": float(high[row, number]),
                    "share_in_study": frozen["shares"][number],
                }
                for number, name in enumerate(frozen["classes"])
            ],
        }
        for row in range(len(mean))
    ]


def words_for(happened: str) -> SheetWords:
    """The words for what happens to patients of the second class."""
    return MEMORY_CLINIC if happened == DEMENTIA else ANY


def observed(
    estimates: Sequence[Mapping[str, Any]], outcomes: pd.DataFrame, confidence: float
) -> list[dict[str, Any]]:
    """At a horizon as of survival; else each class that enough patients have, and have not.

    Its share beside its mean probability, among patients whose class is known.
    """
    if "time_months" in outcomes:
        return by_follow_up(estimates, outcomes, confidence)
    label = outcomes["label"].to_numpy(dtype=int)
    rows = [row for row in range(len(estimates)) if label[row] != UNKNOWN]
    names = [one["name"] for one in estimates[rows[0]]["classes"]] if rows else []
    found = []
    for number, name in enumerate(names):
        of_class = int((label[rows] == number).sum())
        if min(of_class, len(rows) - of_class) < FEWEST:
            continue
        mean = float(np.mean([estimates[row]["classes"][number]["probability"] for row in rows]))
        share = wilson(of_class, len(rows), confidence)
        found.append(beside(name, len(rows), of_class, mean, share))
    return found
