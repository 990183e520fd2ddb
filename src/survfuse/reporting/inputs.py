"""Everything the reports read, in one place: paths in, typed tables out.

The reports compute no metric. They print what evaluation wrote, so this module checks that the
files belong together (same splits, same patients) and refuses a mixture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse.artifacts.cohort_tables import read_clinical, read_slides
from survfuse.artifacts.evaluation import Evaluation, SurvivalEvaluation, read_evaluation
from survfuse.artifacts.explanations import FoldExplanation, read_explanations
from survfuse.artifacts.layout import (
    EvaluationFolder,
    ModelsFolder,
    PredictionsFolder,
    ResultsFolder,
    folds_in_words,
)
from survfuse.artifacts.predictions import months_of, read_predictions
from survfuse.artifacts.study import CrossValidation, Study, read_study
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_object
from survfuse.evaluation.risks import read_risks
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import SHEET_OF, SOURCES
from survfuse.reporting.stored import read_fits
from survfuse.splits.outer_folds import splits_hash


@dataclass(frozen=True)
class ReportInputs:
    """The files a report is made from; None where a cohort has no such data."""

    cohort_json: Path
    clinical: Path
    outcomes: Path
    splits: Path
    evaluation_json: Path
    predictions: PredictionsFolder
    files: Mapping[str, Path] = field(default_factory=dict)  # of modalities, by the key of SOURCES
    slide_sheet: Path | None = None  # where the slide files are, for pictures of single tiles
    synthesis: Path | None = None  # directory of the fold folders of the synthesis stage
    models: ModelsFolder | None = None  # for the provenance

    @property
    def risks(self) -> Path:
        """Every patient's risk by every model, where the evaluation has any."""
        return EvaluationFolder(self.evaluation_json.parent).risks

    @property
    def results(self) -> Path:
        """The results directory."""
        return self.cohort_json.parent.parent

    @classmethod
    def under(cls, output: Path) -> ReportInputs:
        """The files at their usual places in the results directory `output`."""
        results = ResultsFolder(output)
        sheet = results.cohort.slides
        return cls(
            cohort_json=results.cohort.summary,
            clinical=results.cohort.clinical,
            outcomes=results.cohort.outcomes,
            splits=results.splits.table,
            evaluation_json=results.evaluation.scores,
            predictions=results.predictions,
            files={
                source: path
                for source, stored in SOURCES.items()
                if (path := results.root / stored).is_file()
            },
            slide_sheet=sheet if sheet.is_file() else None,
            synthesis=results.synthesis if results.synthesis.is_dir() else None,
            models=results.models,
        )


@dataclass(frozen=True)
class RunData:
    """What pages of any task share. Tables keep the text of their files; missing is empty."""

    cohort: dict[str, Any]
    evaluation: Evaluation
    clinical: pd.DataFrame  # index patient_id
    study: CrossValidation  # outcomes, and who was tested in which fold
    brought: Mapping[str, Any]  # what `Modality.for_pages` read of each file of `inputs.files`
    fits: tuple[dict[str, Any], ...]
    inputs: ReportInputs


@dataclass(frozen=True)
class ReportData(RunData):
    """What the pages of a survival run share."""

    evaluation: SurvivalEvaluation
    study: Study
    slide_sheet: pd.DataFrame | None  # slide_id, patient_id, path, mpp, features
    risks: pd.DataFrame  # of all models, see `evaluation.risks`


@dataclass(frozen=True)
class PatientRisk:
    """The risk by a horizon of patients with the same estimate, with its interval.

    `as_is_low` and `as_is_high`: the interval if no inputs were missing. `lacking`: which are.
    `n_complete`: how many patients with complete inputs the effect was estimated from; 0: too few.
    `group`: the third of the cohort by this estimate, None where there are no groups.
    """

    months: float
    risk: float
    low: float
    high: float
    as_is_low: float
    as_is_high: float
    lacking: tuple[str, ...]
    n_complete: int
    group: str | None


@dataclass(frozen=True)
class Prediction:
    """The out-of-fold prediction of a patient, and the risk recalibrated from it.

    `disagreement`: by horizon in months the lowest and highest risk of the ensemble members, which
    is no interval.
    """

    folds: tuple[tuple[int, int], ...]  # (repeat, fold), one per repeat
    risks: dict[float, PatientRisk]  # by horizon in months, where estimable
    disagreement: dict[float, tuple[float, float]]


def read_report_data(inputs: ReportInputs) -> ReportData:
    """Read what all pages share.

    Raises UserInputError if a file is absent or not readable, or if the evaluation was made on
    other splits than the ones given.
    """
    run = read_run(inputs, read_study(inputs.outcomes, inputs.splits))
    return ReportData(
        **vars(run),
        slide_sheet=read_slides(inputs.slide_sheet) if inputs.slide_sheet else None,
        risks=read_risks(inputs.risks, run.evaluation["risks_sha256"]),
    )


def read_run(inputs: ReportInputs, study: CrossValidation) -> RunData:
    """Read what pages of any task share; raises UserInputError as `read_report_data` does."""
    evaluation = read_evaluation(inputs.evaluation_json)
    if evaluation["splits_sha256"] != splits_hash(inputs.splits):
        raise UserInputError(
            f"{inputs.evaluation_json}: made from other splits than {inputs.splits}; "
            "run the evaluation again before the report"
        )
    return RunData(
        cohort=read_object(inputs.cohort_json),
        evaluation=evaluation,
        clinical=read_clinical(inputs.clinical).set_index("patient_id"),
        study=study,
        brought={
            source: modality(SHEET_OF[source]).for_pages(path)
            for source, path in inputs.files.items()
        },
        fits=read_fits(inputs.models, evaluation, study) if inputs.models else (),
        inputs=inputs,
    )


def read_model(data: ReportData, model: str) -> pd.DataFrame:
    """The checked predictions of a model, one row per patient and repeat."""
    return read_predictions(data.inputs.predictions.table(model))


def prediction_of(data: ReportData, model: str, table: pd.DataFrame, patient_id: str) -> Prediction:
    """One patient's out-of-fold prediction by a model, of which `table` holds the predictions.

    Raises UserInputError if the table has none for this patient.
    """
    rows = table[table["patient_id"] == patient_id]
    if rows.empty:
        raise UserInputError(f"patient {patient_id}: the model has no prediction; predict again")
    complete = [str(column) for column in rows.columns if rows[column].notna().all()]
    disagreement = {
        months_of(low): (float(rows[low].min()), float(rows[high].max()))
        for low in complete
        if low.startswith("risk_low_") and (high := low.replace("low", "high")) in complete
    }
    folds = tuple(zip(rows["repeat"].tolist(), rows["fold"].tolist(), strict=True))
    return Prediction(folds, risks_of(data.risks, model, patient_id), disagreement)


def risks_of(table: pd.DataFrame, model: str, patient_id: str) -> dict[float, PatientRisk]:
    """What a model's estimate comes to for a patient, by horizon; empty where it has none.

    `table`: the risks of all models, see `evaluation.risks`.
    """
    rows = table[(table["model"] == model) & (table["patient_id"] == patient_id)]
    found = {}
    for row in rows.sort_values("months").to_dict("records"):
        lacking = tuple(row["lacking"].split("+")) if row["lacking"] else ()
        numbers = {
            name: float(row[name])
            for name in ("months", "risk", "low", "high", "as_is_low", "as_is_high")
        }
        n_complete = int(row["n_complete"]) if lacking else 0
        found[numbers["months"]] = PatientRisk(
            **numbers, lacking=lacking, n_complete=n_complete, group=row["group"] or None
        )
    return found


def read_explained(data: ReportData, model: str) -> tuple[FoldExplanation, ...]:
    """The explanations of a model, fold by fold; empty when it has none.

    Raises UserInputError if they were made on other folds than those of the splits.
    """
    path = data.inputs.predictions.explanations(model)
    if not path.is_file():
        return ()
    explanations = read_explanations(path)
    tested = {
        (fold.repeat, fold.fold): {data.study.patient_ids[row] for row in fold.test}
        for fold in data.study.folds
    }
    for one in explanations:
        if tested.get((one.repeat, one.fold)) != set(one.patient_ids):
            raise UserInputError(
                f"{path}: the explanations of {folds_in_words([one.fold], one.repeat)} are of "
                "other patients than the splits test there; explain the model again"
            )
    return explanations
