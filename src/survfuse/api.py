"""The functions that `import survfuse` offers: the stages of a run, for a notebook or a program.

They work in the results folder of the configuration, in the layout of the workflow, so that either
can go on where the other stopped. What takes long runs in this process, one fold after another:
for slides, volumes and many networks use the workflow (`survfuse run`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse.artifacts.layout import ResultsFolder

if TYPE_CHECKING:
    import pandas as pd

    from survfuse.cohort.checked import Cohort
    from survfuse.config.study import Config
    from survfuse.modalities.paths import InputPaths


def load_config(path: str | Path) -> Config:
    """Read a configuration file, and leave out the rows that this cohort cannot have.

    Raises UserInputError with a line for each problem: file, line, key, what is wrong and what to
    write.

    >>> config = load_config("configs/demo.yaml")
    >>> config.task, config.splits.folds
    ('survival', 5)
    >>> [row.name for row in config.models][:3]
    ['site_only', 'clinical_cox', 'coxnet']
    """
    from survfuse.models.runnable import load

    return load(path)


def check_cohort(config: Config) -> Cohort:
    """Check the sheets and everything else that would stop a run; nothing is written.

    The cohort holds its tables (`outcomes`, `clinical`, and `tables` of the other sheets) and
    `notes` on what is unusual but not wrong. Raises SheetError, a UserInputError, with file, row,
    column and remedy of every problem; MissingResourceError where only the encoder's weights are
    missing.
    """
    from survfuse.cli.check_run import check_run

    return check_run(config)


def prepare(config: Config) -> Path:
    """Check the cohort, divide it into folds and pack its genes; returns the results folder.

    Slides and volumes are prepared by the workflow, before `fit` if rows read them. Raises what
    `check_cohort` raises.
    """
    from survfuse.cohort.summary import write_cohort
    from survfuse.modalities.loading import modality
    from survfuse.modalities.registry import MODALITIES
    from survfuse.splits.outer_folds import split_cohort

    results = ResultsFolder(config.output)
    cohort = check_cohort(config)
    write_cohort(cohort, config, results.cohort.root)
    split_cohort(results.cohort.root, config, results.splits.root)
    ids = cohort.clinical["patient_id"].tolist()
    for name, entry in MODALITIES.items():
        if entry.brought_by(config.cohort):
            modality(name).pack(config, ids, results.read_of(name))
    return config.output


def input_paths(config: Config) -> InputPaths:
    """The files that models may read. Raises UserInputError where one is not prepared yet."""
    from survfuse.modalities.paths import study_paths

    return study_paths(config)


def folds_of(config: Config, model: str) -> list[Path]:
    """The folders of the folds that a row is fitted in."""
    from survfuse.models.specs import find_model, repeats_of

    repeats = 1 if config.cohort.folds else repeats_of(find_model(config, model), config)
    numbers = [(repeat, fold) for repeat in range(repeats) for fold in range(config.splits.folds)]
    return [ResultsFolder(config.output).splits.fold(*number).root for number in numbers]


def fit(config: Config, model: str, device: str = "auto") -> list[Path]:
    """Fit a row of the leaderboard on the training part of every fold; returns their folders.

    What is fitted already, with the same inputs and settings, is not fitted again; a late fusion
    needs its parts to be fitted before it. `device`: auto, cpu or cuda. Raises UserInputError for
    an unknown row, or where something is not prepared.
    """
    from survfuse.models.specs import find_model, has_job_per_fold
    from survfuse.training.stage import train_folds

    models = ResultsFolder(config.output).models
    by_fold = has_job_per_fold(find_model(config, model), config)
    record = None if by_fold else models.record(model)
    folds, paths = folds_of(config, model), input_paths(config)
    return train_folds(config, model, folds, paths, models.root, device, record)


def predict(config: Config, model: str, device: str = "auto") -> pd.DataFrame:
    """Predict every patient out-of-fold: by models that were fitted without that patient.

    One row per patient and repeat: `patient_id, repeat, fold`; for survival `risk` (higher: earlier
    events, comparable within a fold) and `surv_T`, the probability of no event until T months; for
    a diagnosis `p_0`, `p_1`, ..., the probabilities of the classes in their order. Raises
    UserInputError where the row is not fitted, or with other settings.
    """
    import pandas as pd

    from survfuse.training.predict import predict_model

    results = ResultsFolder(config.output)
    predictions = results.predictions
    predict_model(
        config,
        model,
        folds_of(config, model),
        input_paths(config),
        results.models.root,
        predictions.table(model),
        predictions.ablations(model),
        predictions.attention(model),
        device,
    )
    return pd.read_csv(predictions.table(model), sep="\t", dtype={"patient_id": str})


def evaluate(config: Config) -> dict[str, Any]:
    """Score the out-of-fold predictions of all rows side by side; returns what is evaluated.

    It is the content of `evaluation/evaluation.json`: `rows` with every metric, its interval and
    the paired difference to the reference row. Raises UserInputError where a row was not predicted.
    """
    from survfuse.evaluation.files import EvaluationFiles
    from survfuse.modalities.inputs import write_availability
    from survfuse.tasks.loading import task_of

    results, paths = ResultsFolder(config.output), input_paths(config)
    predictions = results.predictions
    explained = {row.name: predictions.explanations(row.name) for row in config.models}
    files = EvaluationFiles(
        outcomes=results.cohort.outcomes,
        splits=paths.splits,
        predictions=predictions.root,
        out=results.evaluation.scores,
        truth=results.truth if config.simulation else None,
        availability=predictions.availability,
        synthesis=paths.synthesis,
        explained={name: path for name, path in explained.items() if path.is_file()},
    )
    write_availability(paths, predictions.availability)
    task_of(config).evaluate(config, files)
    return json.loads(files.out.read_text(encoding="utf-8"))


def report(config: Config) -> Path:
    """Write the cohort report and the patient pages; returns the page to open first.

    Raises UserInputError where files are absent or do not belong together, and where a mandatory
    row was not evaluated.
    """
    from survfuse.reporting.stage import write_reports

    pages = ResultsFolder(config.output).report
    write_reports(config, config.output, pages.root)
    return pages.index


def package(config: Config, out: str | Path, row: str | None = None) -> Path:
    """Freeze a finished study into a folder (and its .zip) that predicts other patients.

    `row`: whose models predict; default: the row of the patient pages. Raises UserInputError where
    the study is not finished, or `out` is something else already.
    """
    from survfuse.deployment.freeze import freeze_study

    return freeze_study(config, Path(out), row)


def predict_new(
    package: str | Path,
    patients: str | Path,
    out: str | Path,
    device: str = "auto",
    language: str = "en",
    paper: str = "A4",
    **sheets: str | Path,
) -> list[dict[str, Any]]:
    """Predict patients who were in no study; returns a record of each and writes them to `out`.

    With a page and documents of each, in `language` ("en", "de"), for `paper` ("A4", "Letter").

    `package`: the folder of `package`. `sheets`: of modalities by name, such as `omics`, `slides`.
    No outcomes are needed. Raises UserInputError where the package was changed, or something is
    wrong with the sheets or cannot be read by its models.
    """
    from survfuse.artifacts.package import open_package
    from survfuse.deployment import inputs, predict
    from survfuse.reporting.new_patients.style import Style

    brought = {name: Path(path) for name, path in sheets.items()}
    given = inputs.NewSheets(Path(patients), brought)
    style, opened = Style(language, paper), open_package(Path(package))
    return predict.predict_new(opened, given, Path(out), device=device, style=style)


def export_predictions(
    predictions: str | Path,
    out: str | Path,
    formats: Sequence[str] = ("fhir", "dicom", "hl7"),
    key_file: str | Path | None = None,
    with_identifiers: bool = False,
) -> list[Path]:
    """Write the predictions of `predict_new` for other systems; returns the files.

    They carry the patient_id of the sheets. Only `with_identifiers`, and a `key_file` that maps
    these to identifiers of the hospital, put those in their place. Raises UserInputError where
    there is nothing to export, or one is given without the other.
    """
    from survfuse.exchange import stage

    key = None if key_file is None else Path(key_file)
    return stage.export_predictions(Path(predictions), Path(out), formats, key, with_identifiers)


def monitor(
    package: str | Path,
    periods: Sequence[str | Path],
    out: str | Path,
    outcomes: str | Path | None = None,
) -> dict[str, Any]:
    """Compare folders of `predict_new`, one for each period, with the study of their package.

    `outcomes`: a sheet with patient_id and the outcome columns of the study. Returns the record and
    writes it, a table and a page to `out`. Raises UserInputError where a folder is of another
    package or the sheet is wrong.
    """
    from survfuse.artifacts.package import open_package
    from survfuse.deployment import monitor as monitoring

    return monitoring.monitor(
        open_package(Path(package)),
        [Path(period) for period in periods],
        Path(out),
        None if outcomes is None else Path(outcomes),
    )


def validate_external(
    package: str | Path, config: Config, out: str | Path, device: str = "auto"
) -> dict[str, Any]:
    """Check a package on another cohort with outcomes; returns what is written to `out`.

    `package`: the folder of `package`. `config`: of the other cohort, as for a study of its own; of
    it are used the sheets, the outcome, the covariates by name, and how many resamples intervals
    rest on. The record holds the metrics of the study in this cohort, untouched and recalibrated,
    beside what the study found; a page, a table and `recalibration.json` are written with it. No
    outcome reaches a prediction. Raises UserInputError where the package was changed, the
    configuration asks for something else than its study, lacks a covariate that its models read,
    or something is wrong with the sheets.
    """
    from survfuse.artifacts.package import open_package
    from survfuse.deployment import validate

    return validate.validate_external(open_package(Path(package)), config, Path(out), device=device)
