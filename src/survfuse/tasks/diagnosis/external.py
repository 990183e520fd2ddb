"""How diagnoses are scored in a cohort that had no part in the study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd

from survfuse.artifacts.study import Fold, SurvivalOutcome
from survfuse.config.cohort import CohortConfig
from survfuse.config.evaluation import EvaluationConfig
from survfuse.core.errors import UserInputError
from survfuse.evaluation.external import AnyMetric, Draws, External
from survfuse.statistics.censoring import known_weights
from survfuse.statistics.intervals import NotEstimableError, draw_counts
from survfuse.statistics.probabilities import calibration_points
from survfuse.statistics.updating import Update, update_probability
from survfuse.tasks.diagnosis.asked import asked_of
from survfuse.tasks.diagnosis.classes import UNKNOWN
from survfuse.tasks.diagnosis.metrics import metrics_of, ranking_of
from survfuse.tasks.diagnosis.scored import ClassPredictions, ScoredClasses
from survfuse.tasks.diagnosis.section import DiagnosisConfig
from survfuse.tasks.diagnosis.study import ClassStudy

NO_THRESHOLD = (
    "A package states probabilities and no threshold, so that decisions at one are not scored."
)
BY_HORIZON = (
    "Scored is the risk by {months:g} months, recalibrated on the study, or where the package has "
    "none the mean probability of its models."
)


class ExternalDiagnosis(External):
    """Classes of patients, and how probabilities of them are scored.

    A prediction is the probability of the second of two classes, (n, 1), or of each of more.
    """

    counted_as = "patients of the rarer class"

    def __init__(self, study: ClassStudy, asked: DiagnosisConfig, config: EvaluationConfig) -> None:
        self.study, self.asked, self.config = study, asked, config
        self.counts, self.confidence = (
            draw_counts(study, config.bootstrap, config.seed),
            config.confidence,
        )
        self.seed, classes = config.seed, len(asked.classes)
        self.link = "logit" if classes == 2 else None
        self.parts = ("",) if classes == 2 else tuple(asked.classes)
        self.ranking = ranking_of(classes)
        self.metrics = [one for one in metrics_of(classes).values() if one.topic != "decisions"]
        self.not_as_in_study = {}
        unknown = int((study.label == UNKNOWN).sum())
        months = asked.horizon_months
        self.notes = [
            NO_THRESHOLD,
            *([BY_HORIZON.format(months=months)] if months is not None else []),
            *([f"{unknown} of {len(study.label)} patients have no known class; they are stood for "
               "by the others, with weights that resamples do not change."] if unknown else []),
        ]  # fmt: skip

    @property
    def known(self) -> np.ndarray:
        """Whose class is known, (n,) bool."""
        return self.study.label != UNKNOWN

    def probabilities(self, estimates: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """The probability of the second of two classes as pages have it, or of each of more.

        That is the recalibrated risk by the horizon where the package states it.
        """
        if self.asked.horizon_months is not None and all(own["horizons"] for own in estimates):
            return np.array([[own["horizons"][0]["risk"]] for own in estimates])
        every = np.array([[one["probability"] for one in own["classes"]] for own in estimates])
        return every if len(self.parts) > 1 else every[:, 1:]

    def draws(self, metric: AnyMetric, probability: np.ndarray) -> Draws:
        """A metric of probabilities, computed anew for every resample."""
        if np.isnan(probability).any():
            raise NotEstimableError("no probability is estimated")
        rows = self.rows_of(probability)
        found = [metric.score(ScoredClasses(drawn, self.confidence)) for drawn in self.drawn(rows)]
        if metric.each != "class":
            return {"": np.array([one["value"] for one in found], dtype=float)}
        return {
            part: np.array([one[number]["value"] for one in found], dtype=float)
            for number, part in enumerate(self.parts)
        }

    def drawn(self, rows: ClassPredictions) -> Iterator[ClassPredictions]:
        """The patients of known class, and every resample of them."""
        for counts in self.counts:
            chosen = rows.rows(np.repeat(np.arange(len(rows)), counts.astype(int))).known()
            yield replace(chosen, patient=np.arange(len(chosen)))  # drawn twice, they are two

    def rows_of(self, probability: np.ndarray) -> ClassPredictions:
        """A prediction with what is true of the patients."""
        n = len(self.study.label)
        whole = probability if len(self.parts) > 1 else np.hstack([1 - probability, probability])
        none = np.zeros(n, dtype=bool)
        return ClassPredictions(
            patient=np.array(self.study.patient_ids),
            label=self.study.label,
            probability=whole,
            fold=np.zeros(n, dtype=int),
            synthesised=none,
            weight=self.study.weight,
        )

    def in_words(self, part: str) -> str:
        """The class, where there is more than one probability."""
        return part

    def among(self, rows: np.ndarray) -> Self:
        """The same of some patients, with resamples of them."""
        return type(self)(some_of(self.study, rows, self.asked), self.asked, self.config)

    def events(self, part: str) -> int:
        """Known patients of the rarer class, or of a class and the others."""
        label, number = self.study.label[self.known], self.number_of(part)
        cases = int((label == number).sum())
        return min(cases, len(label) - cases)

    def number_of(self, part: str) -> int:
        """The class whose probability a part is."""
        return self.parts.index(part) if len(self.parts) > 1 else 1

    def calibration(self, probability: np.ndarray, part: str) -> list[dict[str, Any]]:
        """Observed against predicted share, in groups of rising probability."""
        case, weight = self.happened(part)
        known = self.known
        about = (probability[known], case[known], self.confidence)
        return calibration_points(*about, None, weight[known])

    def happened(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Who is of the class, with the weights of those of whom it is known."""
        case: np.ndarray = self.study.label == self.number_of(part)
        return case, np.where(self.known, self.study.weight, 0.0)

    def update(self, probability: np.ndarray, part: str, kind: str, rows: np.ndarray) -> Update:
        """An intercept of the log-odds, and their slope."""
        some = some_of(self.study, rows, self.asked)
        known = some.label != UNKNOWN
        case = some.label[known] == self.number_of(part)
        return update_probability(probability[rows][known], case, some.weight[known], kind)


def study_of(outcomes: pd.DataFrame, asked: DiagnosisConfig) -> ClassStudy:
    """Patients of outcomes.tsv as one fold; at a horizon with weights from their own follow-up."""
    label, ids = outcomes["label"].to_numpy(), tuple(outcomes["patient_id"])
    everybody = np.arange(len(label))
    folds = (Fold(0, 0, everybody, everybody),)
    months, classes = asked.horizon_months, tuple(asked.classes)
    if months is None:
        return ClassStudy(ids, label, classes, folds, np.ones(len(label)))
    times, events = outcomes["time_months"].to_numpy(), outcomes["event"].to_numpy() == 1
    outcome = SurvivalOutcome(times, events)
    return ClassStudy(ids, label, classes, folds, known_weights(outcome, months), outcome)


def some_of(study: ClassStudy, rows: np.ndarray, asked: DiagnosisConfig) -> ClassStudy:
    """Some of the patients, with weights from their own follow-up."""
    table = pd.DataFrame({"patient_id": study.patient_ids, "label": study.label})
    if study.outcome is not None:
        table = table.assign(time_months=study.outcome.time, event=study.outcome.event.astype(int))
    return study_of(table.iloc[rows], asked)


def external_of(
    config: EvaluationConfig, asked: DiagnosisConfig, outcomes: pd.DataFrame
) -> ExternalDiagnosis:
    """How a package is scored on patients; `outcomes` as of outcomes.tsv.

    Raises UserInputError where the known patients are all of one class.
    """
    found = study_of(outcomes, asked)
    if len(np.unique(found.label[found.label != UNKNOWN])) < 2:
        raise UserInputError(
            f"the patients of known class are all of one class, of {', '.join(asked.classes)}, so "
            "that nothing can be checked; bring patients of another one"
        )
    return ExternalDiagnosis(found, asked, config)


def require_same_question(study: CohortConfig, other: CohortConfig) -> None:
    """Raise UserInputError where another configuration asks for other classes, or another time."""
    for name in ("classes", "horizon_months"):
        ours, theirs = (getattr(asked_of(one), name) for one in (study, other))
        if ours != theirs:
            raise UserInputError(
                f"cohort.diagnosis.{name} is {in_words(theirs)}, but the models of the package "
                f"were fitted with {in_words(ours)}; they answer no other question"
            )


def in_words(setting: list[str] | float | None) -> str:
    """A setting in a message."""
    if setting is None:
        return "not set"
    return ", ".join(setting) if isinstance(setting, list) else f"{setting:g}"
