"""What a task is: all that is known of it outside its folder.

A task is what models are asked for. Reading what it declares costs nothing; what needs tables or
statistics is imported where it is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.evaluation.files import EvaluationFiles
from survfuse.evaluation.mandatory import Mandatory

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from survfuse.artifacts.evaluation import Evaluation
    from survfuse.artifacts.layout import ResultsFolder
    from survfuse.config.cohort import CohortConfig
    from survfuse.evaluation.comparable import Comparable
    from survfuse.evaluation.external import External
    from survfuse.evaluation.metrics import Documented
    from survfuse.models.registry import ModelSpec
    from survfuse.sheets.problems import Note, Problem
    from survfuse.sheets.text_table import Sheet
    from survfuse.tasks.prediction_tables import PredictionTables
    from survfuse.tasks.sheet_words import SheetWords


class Task(ABC):
    """One kind of outcome that models predict, and how their predictions are evaluated and shown.

    name: what `Config.task` calls it. mandatory: the rows without which its leaderboard cannot be
    read. pages: "module:name" of its pages, see `reporting.pages`; reporting stands above tasks.
    attributed: whether estimates are explained by attributions, see `survfuse.explain.stage`.
    maps_volumes: whether there are maps of what moved them in volumes, see `explain.saliency`.
    average: "module:name" of what a row predicts where it can learn nothing, see
    `models.classical.average`. networks: that of what networks learn of it, see
    `training.network_task`; empty where none can be fitted for it. Both stand above models.
    """

    name: ClassVar[str]
    mandatory: ClassVar[Mandatory]
    pages: ClassVar[str]
    average: ClassVar[str]
    networks: ClassVar[str] = ""
    attributed: ClassVar[bool] = False
    maps_volumes: ClassVar[bool] = False

    def kinds(self) -> Mapping[str, ModelSpec]:
        """Kinds of models that are made for it alone, which its folder holds."""
        return {}

    def estimators(self) -> Mapping[str, str]:
        """By other kinds of models, "module:name" of what fits them for it, in its folder.

        Kinds whose own files hold an estimator for the task name it themselves.
        """
        return {}

    def check_settings(self, config: Config) -> None:
        """Refuse settings that a run would accept and not honour. Raises UserInputError."""
        return

    @abstractmethod
    def outcome_columns(self, cohort: CohortConfig) -> tuple[str, ...]:
        """The columns of the patient sheet that hold the outcome; none can be a covariate."""

    @abstractmethod
    def read_outcomes(
        self, sheet: Sheet, cohort: CohortConfig
    ) -> tuple[pd.DataFrame, list[Problem]]:
        """Outcomes by spreadsheet row, as outcomes.tsv will hold them, and the problems of them.

        Where there is a problem, values are as `OutcomeColumns.sound` knows it: follow-up is
        `time_months` and `event` (-1 then); classes are `label`.
        """

    def outcome_words(self, cohort: CohortConfig) -> dict[str, Sequence[str]]:
        """Outcome columns of words: what they may hold, even if it reads like "missing"."""
        return {}

    def outcome_notes(
        self, sheet: Sheet, outcomes: pd.DataFrame, cohort: CohortConfig
    ) -> list[Note]:
        """What is unusual about the outcomes. `outcomes`: those of rows without a problem."""
        return []

    @abstractmethod
    def check_splits(
        self,
        outcomes: pd.DataFrame,
        sites: pd.Series[str] | None,
        folds: pd.DataFrame | None,
        config: Config,
    ) -> list[Problem]:
        """Problems of a cohort that cannot be divided as configured.

        `outcomes`: as outcomes.tsv will hold them. `sites`: by patient id, where they are
        configured. `folds`: of patients, where they are published.
        """

    @abstractmethod
    def summary(self, outcomes: pd.DataFrame, config: Config) -> dict[str, Any]:
        """What cohort.json says of the outcomes (of outcomes.tsv)."""

    @abstractmethod
    def counted(self, outcomes: pd.DataFrame) -> str:
        """How many patients there are and what is known of them, for the log."""

    def cases(self, outcomes: pd.DataFrame) -> pd.Series[int]:
        """1 for who had what is predicted, else 0; summaries count them by site."""
        return outcomes["patient_id"].map(lambda _: 0)

    def words(self, config: Config) -> list[str]:
        """The wording of the configuration that the evaluation holds, so that it runs again."""
        return []

    def has_risks(self, config: Config) -> bool:
        """Whether the evaluation writes risks.tsv, every patient's risk by a horizon."""
        return True

    @abstractmethod
    def prediction_tables(self) -> PredictionTables:
        """How predictions are put into tables: those that `evaluate` reads."""

    @abstractmethod
    def evaluate(self, config: Config, files: EvaluationFiles) -> None:
        """Score the out-of-fold predictions of all rows, and write evaluation.json.

        Raises UserInputError if a mandatory row is missing, or if a table is wrong, was changed
        after it was written, or does not match the splits.
        """

    @abstractmethod
    def write_tidy(self, tables: Mapping[str, Path], out: Path) -> None:
        """Write the predictions of all rows, tables by their names, as one long table."""

    def predicted(self, config: Config) -> dict[str, Any]:
        """What is predicted, in words: `name`, `definition`, and `happened` to whom it did."""
        raise self.no_package()

    def sheet_words(self, predicted: Mapping[str, str]) -> SheetWords:
        """The words of the sheet for a patient. `predicted`: as of `predicted`, in a record."""
        raise self.no_package()

    def freeze(self, config: Config, results: ResultsFolder, row: str) -> dict[str, Any]:
        """What a package keeps of a row, to turn its predictions of new patients into estimates.

        JSON, in which no patient of the study stands alone. Raises UserInputError where files of
        the study are absent or do not belong together, and by default.
        """
        raise self.no_package()

    def estimates(
        self,
        frozen: Mapping[str, Any],
        predictions: Mapping[str, Any],
        has: Mapping[str, np.ndarray],
        config: Config,
    ) -> list[dict[str, Any]]:
        """What is estimated of each of n new patients, as `schemas/prediction` describes it.

        `frozen`: of the row, by `freeze`. `predictions`: by the name of the fold, what its
        estimator returned. `has`: by modality, (n,) who has it.
        """
        raise self.no_package()

    def observed(
        self, estimates: Sequence[Mapping[str, Any]], outcomes: pd.DataFrame, confidence: float
    ) -> list[dict[str, Any]]:
        """What became of new patients beside what was estimated, see `evaluation.observed.beside`.

        `estimates`: of n patients, as of their records. `outcomes`: theirs, as outcomes.tsv holds
        them.
        """
        return []

    def require_same_question(self, study: CohortConfig, other: CohortConfig) -> None:
        """Raise UserInputError where a cohort asks for something else than the study of a package.

        Both are of this task.
        """
        return

    def external(
        self, config: Config, frozen: Mapping[str, Any], outcomes: pd.DataFrame
    ) -> External:
        """How predictions of a package are scored in a cohort that had no part in its study.

        `config`: of the package. `frozen`: of the row, by `freeze`. `outcomes`: as of outcomes.tsv.
        Raises UserInputError where these outcomes show nothing.
        """
        raise self.no_package()

    def no_package(self) -> UserInputError:
        """Why no package is made of a study."""
        return UserInputError(
            f"a study of the task {self.name} cannot be packaged: it says of no new patients what "
            "it estimates of them"
        )

    def documented(self) -> list[Documented]:
        """Its metrics, for docs/reference/metrics.md."""
        return []

    def comparable(self, evaluation: Evaluation) -> Comparable | None:
        """How a finished study is compared with others; None where another task evaluated it."""
        return None
