"""Diagnosis: which of several classes a patient is of, now or by a horizon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse.config.study import Config
from survfuse.evaluation.files import EvaluationFiles
from survfuse.tasks.diagnosis.asked import TASK, asked_of
from survfuse.tasks.diagnosis.mandatory import MANDATORY
from survfuse.tasks.protocol import Task

if TYPE_CHECKING:
    import pandas as pd

    from survfuse.sheets.problems import Problem


class DiagnosisTask(Task):
    """The probability of each class, of patients whose class is known for most."""

    name = TASK
    mandatory = MANDATORY
    pages = "survfuse.reporting.diagnosis.pages:PAGES"

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
            **described_classes(outcomes, asked_of(config)),
        }

    def words(self, config: Config) -> list[str]:
        """What is diagnosed stands in the evaluation; for survival it is in the report."""
        asked = asked_of(config)
        return [asked.name, asked.definition]

    def has_risks(self, config: Config) -> bool:
        """Without follow-up, of a class from a column, there is no risk by a horizon."""
        return asked_of(config).horizon_months is not None

    def evaluate(self, config: Config, files: EvaluationFiles) -> None:
        """Write evaluation.json and, of a diagnosis at a horizon, risks.tsv."""
        from survfuse.tasks.diagnosis.leaderboard import evaluate_diagnoses

        evaluate_diagnoses(config, files)

    def write_tidy(self, tables: Mapping[str, Path], out: Path) -> None:
        """Probabilities, one row for each class."""
        from survfuse.tasks.diagnosis.predictions import write_class_tidy

        write_class_tidy(tables, out)
