"""The files that a leaderboard is made from, whatever is predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from survfuse.artifacts.layout import EvaluationFolder, PredictionsFolder
from survfuse.core.errors import UserInputError


@dataclass(frozen=True)
class EvaluationFiles:
    """What is read, and where evaluation.json is written; None where a study has none of it.

    predictions: directory of {model}.tsv and {model}.ablations.tsv. truth: table of patient_id and
    log_hazard of a simulated cohort. availability: table of who has which modality. synthesis:
    directory with the fold folders of the synthesis stage. explained: explanations of models, by
    their names.
    """

    outcomes: Path
    splits: Path
    predictions: Path
    out: Path
    truth: Path | None = None
    availability: Path | None = None
    synthesis: Path | None = None
    explained: Mapping[str, Path] = field(default_factory=dict)

    @property
    def risks(self) -> Path:
        """The table of risks, which is written beside evaluation.json."""
        return EvaluationFolder(self.out.parent).risks

    def table(self, model: str) -> Path:
        """The table of the predictions of a row."""
        return PredictionsFolder(self.predictions).table(model)

    def predicted(self, model: str) -> Path:
        """The same. Raises UserInputError where it is not there yet."""
        path = self.table(model)
        if not path.is_file():
            raise UserInputError(
                f"{path}: there are no predictions of this row; run predict-folds first"
            )
        return path

    def ablations(self, model: str) -> Path | None:
        """The table of what a row says from some of its inputs, if there is one."""
        path = PredictionsFolder(self.predictions).ablations(model)
        return path if path.is_file() else None
