"""Survival: the time to an event, of which some patients are known to have been free so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse.config.study import Config
from survfuse.evaluation.files import EvaluationFiles
from survfuse.tasks.protocol import Task
from survfuse.tasks.survival.mandatory import MANDATORY

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


class SurvivalTask(Task):
    """The risk of an event over time, from follow-up that ends early for some."""

    name = "survival"
    mandatory = MANDATORY
    pages = "survfuse.reporting.survival.pages:PAGES"
    average = "survfuse.tasks.survival.learning.average:AVERAGE"
    networks = "survfuse.tasks.survival.learning.networks:NETWORKS"
    attributed = True

    def outcome_columns(self, cohort: CohortConfig) -> tuple[str, ...]:
        """A time and an event, or the two ends of an interval."""
        from survfuse.sheets.endpoint import follow_up_columns

        return follow_up_columns(cohort.endpoint)

    def read_outcomes(
        self, sheet: Sheet, cohort: CohortConfig
    ) -> tuple[pd.DataFrame, list[Problem]]:
        """`time_months` and `event`."""
        from survfuse.sheets.endpoint import parse_follow_up

        return parse_follow_up(sheet, cohort.endpoint)

    def outcome_notes(
        self, sheet: Sheet, outcomes: pd.DataFrame, cohort: CohortConfig
    ) -> list[Note]:
        """Times that suggest another unit, and events that nearly nobody or everybody has."""
        from survfuse.sheets.follow_up_notes import notes_of_outcomes

        return notes_of_outcomes(sheet, outcomes, cohort)

    def check_splits(
        self,
        outcomes: pd.DataFrame,
        sites: pd.Series[str] | None,
        folds: pd.DataFrame | None,
        config: Config,
    ) -> list[Problem]:
        """Every part needs events."""
        from survfuse.tasks.survival.cohort import check_splits

        return check_splits(outcomes, sites, folds, config)

    def summary(self, outcomes: pd.DataFrame, config: Config) -> dict[str, Any]:
        """Events, censoring and follow-up."""
        from survfuse.evaluation.follow_up import described_follow_up

        return described_follow_up(outcomes, config.cohort.endpoint)

    def counted(self, outcomes: pd.DataFrame) -> str:
        """Patients and events."""
        return f"{len(outcomes)} patients with {int(outcomes['event'].sum())} events"

    def cases(self, outcomes: pd.DataFrame) -> pd.Series[int]:
        """Who had the event."""
        return outcomes["event"]

    def prediction_tables(self) -> PredictionTables:
        """A risk and a survival at each time."""
        from survfuse.tasks.survival.prediction_tables import TABLES

        return TABLES

    def evaluate(self, config: Config, files: EvaluationFiles) -> None:
        """Write evaluation.json and risks.tsv."""
        from survfuse.tasks.survival.leaderboard import evaluate

        evaluate(files, config.models, config.evaluation, config.grid_months(), config.left_out)

    def write_tidy(self, tables: Mapping[str, Path], out: Path) -> None:
        """Risks and survival, one row for each time."""
        from survfuse.artifacts.predictions import write_tidy

        write_tidy(tables, out)

    def predicted(self, config: Config) -> dict[str, Any]:
        """The endpoint."""
        endpoint = config.cohort.endpoint
        told = {"name": endpoint.name, "definition": endpoint.definition}
        return {**told, "happened": endpoint.happened}

    def sheet_words(self, predicted: Mapping[str, str]) -> SheetWords:
        """Of an illness and its course."""
        from survfuse.tasks.survival.new_patients import WORDS

        return WORDS

    def freeze(self, config: Config, results: ResultsFolder, row: str) -> dict[str, Any]:
        """The recalibration at each horizon."""
        from survfuse.tasks.survival.new_patients import freeze

        return freeze(config, results, row)

    def estimates(
        self,
        frozen: Mapping[str, Any],
        predictions: Mapping[str, Any],
        has: Mapping[str, np.ndarray],
        config: Config,
    ) -> list[dict[str, Any]]:
        """The risk at each horizon."""
        from survfuse.tasks.survival.new_patients import estimates

        return estimates(frozen, predictions, has, config)

    def observed(
        self, estimates: Sequence[Mapping[str, Any]], outcomes: pd.DataFrame, confidence: float
    ) -> list[dict[str, Any]]:
        """Kaplan-Meier estimates beside mean risks."""
        from survfuse.evaluation.observed import by_follow_up

        return by_follow_up(estimates, outcomes, confidence)

    def external(
        self, config: Config, frozen: Mapping[str, Any], outcomes: pd.DataFrame
    ) -> External:
        """Follow-up, and the horizons by which the package states risks."""
        from survfuse.tasks.survival.external import external_of

        return external_of(config.evaluation, frozen, outcomes)

    def documented(self) -> list[Documented]:
        """Those of its one leaderboard."""
        from survfuse.evaluation.metrics import Documented
        from survfuse.tasks.survival.metrics import METRICS, RANKING

        return [Documented("Survival", list(METRICS.values()), RANKING)]

    def comparable(self, evaluation: Evaluation) -> Comparable | None:
        """An evaluation of survival has the time up to which it is scored."""
        from survfuse.tasks.survival.comparable import SURVIVAL

        return SURVIVAL if "tau_months" in evaluation else None


TASK = SurvivalTask()
