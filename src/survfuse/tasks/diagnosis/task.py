"""Diagnosis: which of several classes a patient is of, now or by a horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.evaluation.files import EvaluationFiles
from survfuse.tasks.diagnosis.asked import NAME, asked_of, happened
from survfuse.tasks.diagnosis.mandatory import MANDATORY
from survfuse.tasks.protocol import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from survfuse.artifacts.evaluation import Evaluation
    from survfuse.artifacts.layout import ResultsFolder
    from survfuse.config.cohort import CohortConfig
    from survfuse.evaluation.comparable import Comparable
    from survfuse.evaluation.external import External
    from survfuse.evaluation.metrics import Documented
    from survfuse.sheets.problems import Note, Problem
    from survfuse.sheets.text_table import Sheet
    from survfuse.tasks.prediction_tables import PredictionTables
    from survfuse.tasks.sheet_words import SheetWords


class DiagnosisTask(Task):
    """The probability of each class, of patients whose class is known for most."""

    name = NAME
    mandatory = MANDATORY
    pages = "survfuse.reporting.diagnosis.pages:PAGES"
    average = "survfuse.tasks.diagnosis.learning.average:AVERAGE"
    networks = "survfuse.tasks.diagnosis.learning.networks:NETWORKS"
    maps_volumes = True

    def check_settings(self, config: Config) -> None:
        """Classes have one loss."""
        if config.training.loss == "cox":
            raise UserInputError(
                "training.loss is cox, but cohort.diagnosis asks for classes, which have their own "
                "loss; remove training.loss"
            )

    def outcome_columns(self, cohort: CohortConfig) -> tuple[str, ...]:
        """That of the classes, or at a horizon those of the follow-up."""
        from survfuse.sheets.endpoint import follow_up_columns

        column = asked_of(cohort).column
        return (column,) if column else follow_up_columns(cohort.endpoint)

    def read_outcomes(
        self, sheet: Sheet, cohort: CohortConfig
    ) -> tuple[pd.DataFrame, list[Problem]]:
        """`label`, and at a horizon also `time_months` and `event`."""
        from survfuse.tasks.diagnosis.labels import read_labels

        return read_labels(sheet, cohort.endpoint, asked_of(cohort))

    def outcome_words(self, cohort: CohortConfig) -> dict[str, Sequence[str]]:
        """The names of the classes, where they stand in a column."""
        asked = asked_of(cohort)
        return {asked.column: asked.classes} if asked.column else {}

    def outcome_notes(
        self, sheet: Sheet, outcomes: pd.DataFrame, cohort: CohortConfig
    ) -> list[Note]:
        """As of survival, where there is follow-up."""
        from survfuse.sheets.follow_up_notes import notes_of_outcomes

        return [] if asked_of(cohort).column else notes_of_outcomes(sheet, outcomes, cohort)

    def check_splits(
        self,
        outcomes: pd.DataFrame,
        sites: pd.Series[str] | None,
        folds: pd.DataFrame | None,
        config: Config,
    ) -> list[Problem]:
        """Every part needs patients of every class."""
        from survfuse.tasks.diagnosis.cohort import check_splits

        return check_splits(outcomes, sites, folds, config)

    def summary(self, outcomes: pd.DataFrame, config: Config) -> dict[str, Any]:
        """Patients of each class; at a horizon also events and follow-up."""
        from survfuse.evaluation.follow_up import described_follow_up
        from survfuse.tasks.diagnosis.cohort import described_classes

        followed = "event" in outcomes  # a class from a column comes without follow-up
        return {
            **(described_follow_up(outcomes, config.cohort.endpoint) if followed else {}),
            **described_classes(outcomes, asked_of(config.cohort)),
        }

    def counted(self, outcomes: pd.DataFrame) -> str:
        """Patients and events, or patients of known class where there is no follow-up."""
        if "event" in outcomes:
            return f"{len(outcomes)} patients with {int(outcomes['event'].sum())} events"
        known = int((outcomes["label"] >= 0).sum())
        return f"{len(outcomes)} patients, {known} of known class"

    def cases(self, outcomes: pd.DataFrame) -> pd.Series[int]:
        """Who had the event or, where there is no follow-up, is of another class than the first."""
        if "event" in outcomes:
            return outcomes["event"]
        return (outcomes["label"] > 0).astype(int)

    def words(self, config: Config) -> list[str]:
        """What is diagnosed stands in the evaluation; for survival it is in the report."""
        asked = asked_of(config.cohort)
        return [asked.name, asked.definition]

    def has_risks(self, config: Config) -> bool:
        """Without follow-up, of a class from a column, there is no risk by a horizon."""
        return asked_of(config.cohort).horizon_months is not None

    def prediction_tables(self) -> PredictionTables:
        """A probability of each class, and the threshold."""
        from survfuse.tasks.diagnosis.prediction_tables import TABLES

        return TABLES

    def evaluate(self, config: Config, files: EvaluationFiles) -> None:
        """Write evaluation.json and, of a diagnosis at a horizon, risks.tsv."""
        from survfuse.tasks.diagnosis.leaderboard import evaluate_diagnoses

        evaluate_diagnoses(config, files)

    def write_tidy(self, tables: Mapping[str, Path], out: Path) -> None:
        """Probabilities, one row for each class."""
        from survfuse.tasks.diagnosis.predictions import write_class_tidy

        write_class_tidy(tables, out)

    def predicted(self, config: Config) -> dict[str, Any]:
        """What is diagnosed."""
        asked = asked_of(config.cohort)
        told = {"name": asked.name, "definition": asked.definition}
        return {**told, "happened": happened(config.cohort)}

    def sheet_words(self, predicted: Mapping[str, str]) -> SheetWords:
        """Of dementia, where that is asked for; else of any diagnosis."""
        from survfuse.tasks.diagnosis.new_patients import words_for

        return words_for(predicted["happened"])

    def freeze(self, config: Config, results: ResultsFolder, row: str) -> dict[str, Any]:
        """The shares of the classes, and the recalibration of a diagnosis at a horizon."""
        from survfuse.tasks.diagnosis.new_patients import freeze

        return freeze(config, results, row)

    def estimates(
        self,
        frozen: Mapping[str, Any],
        predictions: Mapping[str, Any],
        has: Mapping[str, np.ndarray],
        config: Config,
    ) -> list[dict[str, Any]]:
        """The probability of each class, and the risk by a horizon."""
        from survfuse.tasks.diagnosis.new_patients import estimates

        return estimates(frozen, predictions, has, config)

    def observed(
        self, estimates: Sequence[Mapping[str, Any]], outcomes: pd.DataFrame, confidence: float
    ) -> list[dict[str, Any]]:
        """Shares of the classes beside mean probabilities."""
        from survfuse.tasks.diagnosis.new_patients import observed

        return observed(estimates, outcomes, confidence)

    def require_same_question(self, study: CohortConfig, other: CohortConfig) -> None:
        """The same classes, at the same horizon."""
        from survfuse.tasks.diagnosis.external import require_same_question

        require_same_question(study, other)

    def external(
        self, config: Config, frozen: Mapping[str, Any], outcomes: pd.DataFrame
    ) -> External:
        """The classes of the patients."""
        from survfuse.tasks.diagnosis.external import external_of

        return external_of(config.evaluation, asked_of(config.cohort), outcomes)

    def documented(self) -> list[Documented]:
        """Those of two classes, and those of more."""
        from survfuse.evaluation.metrics import Documented
        from survfuse.tasks.diagnosis.metrics import MORE_CLASSES, TWO_CLASSES, ranking_of

        two, more = list(TWO_CLASSES.values()), list(MORE_CLASSES.values())
        return [
            Documented("Diagnosis of two classes", two, ranking_of(2)),
            Documented("Diagnosis of more classes", more, ranking_of(3)),
        ]

    def comparable(self, evaluation: Evaluation) -> Comparable | None:
        """An evaluation of a diagnosis says so, and of which classes."""
        from survfuse.tasks.diagnosis.comparable import comparable

        classes = evaluation.get("classes")
        if evaluation.get("task") != NAME or not isinstance(classes, list):
            return None
        return comparable(len(classes))


TASK = DiagnosisTask()
