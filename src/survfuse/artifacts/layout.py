"""Where everything lies in the results folder: the one place that spells its paths.

Stages are given the folder that they read or write, as the rules name it; `ResultsFolder` has all
of them. Files whose names a table holds (embeddings, volumes, pictures) are not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import MODALITIES

FOLD_PATTERN = r"r\d+f\d+"


def fold_name(repeat: int, fold: int) -> str:
    """What the folder of an outer fold is called, and its group in files that hold all folds."""
    return f"r{repeat}f{fold}"


def folds_in_words(folds: Iterable[int], repeat: int | None = None) -> str:
    """Folds in a sentence, "folds 1, 3 of repeat 2": counted from 1, where tables and folders count
    from 0. `repeat`: None where there is one alone.
    """
    names = [str(fold + 1) for fold in folds]
    listed = f"fold{'s' if len(names) > 1 else ''} {', '.join(names)}"
    return listed if repeat is None else f"{listed} of repeat {repeat + 1}"


def fold_numbers(directory: Path) -> tuple[int, int]:
    """(repeat, fold) of a folder that `fold_name` named; UserInputError for any other."""
    if re.fullmatch(FOLD_PATTERN, directory.name) is None:
        raise UserInputError(f"{directory}: not a fold directory; its name should be like r0f3")
    repeat, fold = re.findall(r"\d+", directory.name)
    return int(repeat), int(fold)


@dataclass(frozen=True)
class Folder:
    """A folder of results, wherever it lies."""

    root: Path


class CohortFolder(Folder):
    """The checked cohort: what models may see, the outcomes, and who was left out."""

    @property
    def summary(self) -> Path:
        return self.root / "cohort.json"

    @property
    def clinical(self) -> Path:
        return self.root / "clinical.tsv"

    @property
    def outcomes(self) -> Path:
        return self.root / "outcomes.tsv"

    @property
    def slides(self) -> Path:
        return self.root / "slides.tsv"

    @property
    def images(self) -> Path:
        return self.root / "images.tsv"

    @property
    def availability(self) -> Path:
        return self.root / "availability.tsv"

    @property
    def excluded(self) -> Path:
        return self.root / "excluded.tsv"

    def brought(self, source: str) -> Path:
        """What a cohort keeps of a sheet, by the key of `modalities.registry.SOURCES`."""
        return self.root / f"{source}.tsv"


class FoldFolder(Folder):
    """One outer fold: whom it trains on, with their outcomes, and whom it tests."""

    @property
    def train(self) -> Path:
        return self.root / "train.tsv"

    @property
    def test_ids(self) -> Path:
        return self.root / "test_ids.tsv"


class SplitsFolder(Folder):
    """The outer folds, and the record of how they were made."""

    @property
    def table(self) -> Path:
        return self.root / "splits.tsv"

    @property
    def record(self) -> Path:
        return self.root / "splits.json"

    def fold(self, repeat: int, fold: int) -> FoldFolder:
        return FoldFolder(self.root / fold_name(repeat, fold))

    def tables(self) -> list[Path]:
        """The tables that are there, of all folds."""
        return [path for path in (self.table,) if path.is_file()] + [*self.root.glob("r*f*/*.tsv")]


class FitFolder(Folder):
    """A model fitted on one fold."""

    @property
    def weights(self) -> Path:
        return self.root / "model.safetensors"

    @property
    def description(self) -> Path:
        return self.root / "fit.json"


class ModelsFolder(Folder):
    """The fitted rows of the leaderboard."""

    def fit(self, model: str, fold: str) -> FitFolder:
        """`fold`: the name of the fold."""
        return FitFolder(self.root / model / fold)

    def record(self, model: str) -> Path:
        """What says that a row that has no job per fold is fitted on all its folds."""
        return self.root / model / "folds.json"


class SynthesisFolder(Folder):
    """The volumes that were synthesised for one fold."""

    @property
    def table(self) -> Path:
        return self.root / "synthetic.tsv"

    @property
    def measures(self) -> Path:
        return self.root / "synthesis.json"


class PredictionsFolder(Folder):
    """What the rows of the leaderboard say of every patient, out of fold."""

    @property
    def availability(self) -> Path:
        """Who has which modality, after bad slides were set aside."""
        return self.root / "availability.tsv"

    def table(self, model: str) -> Path:
        return self.root / f"{model}.tsv"

    def record(self, model: str) -> Path:
        return self.root / f"{model}.json"

    def ablations(self, model: str) -> Path:
        """What it says from one modality alone."""
        return self.root / f"{model}.ablations.tsv"

    def attention(self, model: str) -> Path:
        return self.root / f"{model}.attention.h5"

    def explanations(self, model: str) -> Path:
        return self.root / f"{model}.explain.h5"

    def saliency(self, model: str) -> Path:
        return self.root / f"{model}.saliency.h5"


class EvaluationFolder(Folder):
    """All rows, scored side by side."""

    @property
    def scores(self) -> Path:
        return self.root / "evaluation.json"

    @property
    def risks(self) -> Path:
        """Every patient's risk by every model."""
        return self.root / "risks.tsv"

    @property
    def tidy(self) -> Path:
        """All predictions as one long table."""
        return self.root / "predictions.tsv"


class ReportFolder(Folder):
    """The pages. What they show lies beside them, see `reporting.saved_files`."""

    @property
    def index(self) -> Path:
        return self.root / "index.html"

    def patient(self, patient_id: str) -> Path:
        return self.root / "patients" / f"{patient_id}.html"


class ComparisonFolder(Folder):
    """Several studies side by side; figures and tables of the page lie beside it."""

    @property
    def record(self) -> Path:
        return self.root / "compare.json"

    @property
    def page(self) -> Path:
        return self.root / "compare.html"


class PreparedFolder(Folder):
    """Checked patients, and what is made of their sheets for the models to read."""

    @property
    def cohort(self) -> CohortFolder:
        return CohortFolder(self.root / "cohort")

    def read_of(self, modality: str) -> Path:
        """The file that models read of a modality, where it has one."""
        return self.root / MODALITIES[modality].stored


class ResultsFolder(PreparedFolder):
    """The results of a run: `output` of its configuration."""

    @property
    def effective_config(self) -> Path:
        """The settings, where they are not those of one file."""
        return self.root / "effective_config.yaml"

    @property
    def truth(self) -> Path:
        """What is known of a simulated cohort alone."""
        return self.root / "sheets" / "truth.tsv"

    @property
    def splits(self) -> SplitsFolder:
        return SplitsFolder(self.root / "splits")

    @property
    def models(self) -> ModelsFolder:
        return ModelsFolder(self.root / "models")

    @property
    def synthesis(self) -> Path:
        """With the folder of each fold, see `SynthesisFolder`."""
        return self.root / "synthesis"

    @property
    def predictions(self) -> PredictionsFolder:
        return PredictionsFolder(self.root / "predictions")

    @property
    def evaluation(self) -> EvaluationFolder:
        return EvaluationFolder(self.root / "evaluation")

    @property
    def report(self) -> ReportFolder:
        return ReportFolder(self.root / "report")
