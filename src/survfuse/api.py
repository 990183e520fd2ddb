"""The functions that `import survfuse` offers: the stages of a run, for a notebook or a program.

They work in the results folder of the configuration, in the layout of the workflow, so that either
can go on where the other stopped. What takes long runs in this process, one fold after another:
for slides, volumes and many networks use the workflow (`survfuse run`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse.core.errors import UserInputError

if TYPE_CHECKING:
    import pandas as pd

    from survfuse.cohort.checked import Cohort
    from survfuse.config.study import Config
    from survfuse.modalities.paths import InputPaths

ABLATIONS = "{model}.ablations.tsv"  # what a row says from one modality alone


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

    The cohort holds its tables (`outcomes`, `clinical`, `slides`, ...) and `notes` on what is
    unusual but not wrong. Raises SheetError, a UserInputError, with file, row, column and remedy of
    every problem; MissingResourceError where only the encoder's weights are missing.
    """
    from survfuse.cli.check_run import check_run

    return check_run(config)


def prepare(config: Config) -> Path:
    """Check the cohort, divide it into folds and pack its genes; returns the results folder.

    Slides and volumes are prepared by the workflow, before `fit` if rows read them. Raises what
    `check_cohort` raises.
    """
    from survfuse.cohort.summary import write_cohort
    from survfuse.modalities.omics.matrix import build_matrix, write_matrix
    from survfuse.splits.outer_folds import split_cohort

    out = config.output
    cohort = check_cohort(config)
    write_cohort(cohort, config, out / "cohort")
    split_cohort(out / "cohort", config, out / "splits")
    if config.cohort.omics:
        ids = cohort.clinical["patient_id"].tolist()
        matrix = build_matrix(config.cohort.omics, config.omics, ids)
        write_matrix(out / "omics" / "omics.npz", matrix)
    return out


def input_paths(config: Config) -> InputPaths:
    """The files that models may read. Raises UserInputError where one is not prepared yet."""
    from survfuse.modalities.paths import InputPaths
    from survfuse.modalities.registry import SOURCES, sheets_of

    out = config.output
    makes = config.synthesis is not None and config.cohort.images is not None
    paths = InputPaths(
        splits=out / "splits" / "splits.tsv",
        clinical=out / "cohort" / "clinical.tsv",
        files={name: out / SOURCES[name] for name in sheets_of(config.cohort)},
        synthesis=out / "synthesis" if makes else None,
        visit=config.imaging.visit,
    )
    made = [paths.splits, paths.clinical, *paths.files.values(), paths.synthesis]
    for path in made:
        if path and not path.exists():
            raise UserInputError(
                f"{path}: is not there yet; call prepare first, and for slides and volumes let the "
                "workflow make it"
            )
    return paths


def folds_of(config: Config, model: str) -> list[Path]:
    """The folders of the folds that a row is fitted in."""
    from survfuse.models.specs import repeats_of
    from survfuse.splits.outer_folds import fold_folder
    from survfuse.training.predict import find_model

    repeats = 1 if config.cohort.folds else repeats_of(find_model(config, model), config)
    numbers = [(repeat, fold) for repeat in range(repeats) for fold in range(config.splits.folds)]
    return [fold_folder(config.output / "splits", *number) for number in numbers]


def fit(config: Config, model: str, device: str = "auto") -> list[Path]:
    """Fit a row of the leaderboard on the training part of every fold; returns their folders.

    What is fitted already, with the same inputs and settings, is not fitted again; a late fusion
    needs its parts to be fitted before it. `device`: auto, cpu or cuda. Raises UserInputError for
    an unknown row, or where something is not prepared.
    """
    from survfuse.models.specs import spec_of
    from survfuse.training.predict import find_model
    from survfuse.training.stage import train_folds

    models = config.output / "models"
    network = spec_of(find_model(config, model)).family == "network"
    record = None if network else models / model / "folds.json"
    folds, paths = folds_of(config, model), input_paths(config)
    return train_folds(config, model, folds, paths, models, device, record)


def predict(config: Config, model: str, device: str = "auto") -> pd.DataFrame:
    """Predict every patient out-of-fold: by models that were fitted without that patient.

    One row per patient and repeat: `patient_id, repeat, fold`; for survival `risk` (higher: earlier
    events, comparable within a fold) and `surv_T`, the probability of no event until T months; for
    a diagnosis `p_0`, `p_1`, ..., the probabilities of the classes in their order. Raises
    UserInputError where the row is not fitted, or with other settings.
    """
    import pandas as pd

    from survfuse.training.diagnosis_stage import diagnose_model
    from survfuse.training.predict import predict_model

    out = config.output / "predictions"
    table = out / f"{model}.tsv"
    run = diagnose_model if config.task == "diagnosis" else predict_model
    run(
        config,
        model,
        folds_of(config, model),
        input_paths(config),
        config.output / "models",
        table,
        out / ABLATIONS.format(model=model),
        out / f"{model}.attention.h5",
        device,
    )
    return pd.read_csv(table, sep="\t", dtype={"patient_id": str})


def evaluate(config: Config) -> dict[str, Any]:
    """Score the out-of-fold predictions of all rows side by side; returns what is evaluated.

    It is the content of `evaluation/evaluation.json`: `rows` with every metric, its interval and
    the paired difference to the reference row. Raises UserInputError where a row was not predicted.
    """
    from survfuse.evaluation.files import EXPLAINED, EvaluationFiles
    from survfuse.modalities.inputs import write_availability
    from survfuse.tasks.registry import task_of

    results, paths = config.output, input_paths(config)
    predictions = results / "predictions"
    explained = {row.name: predictions / EXPLAINED.format(model=row.name) for row in config.models}
    files = EvaluationFiles(
        outcomes=results / "cohort" / "outcomes.tsv",
        splits=paths.splits,
        predictions=predictions,
        out=results / "evaluation" / "evaluation.json",
        truth=results / "sheets" / "truth.tsv" if config.simulation else None,
        availability=predictions / "availability.tsv",
        synthesis=paths.synthesis,
        explained={name: path for name, path in explained.items() if path.is_file()},
    )
    write_availability(paths, predictions / "availability.tsv")
    task_of(config).evaluate(config, files)
    return json.loads(files.out.read_text(encoding="utf-8"))


def report(config: Config) -> Path:
    """Write the cohort report and the patient pages; returns the page to open first.

    Raises UserInputError where files are absent or do not belong together, and where a mandatory
    row was not evaluated.
    """
    from survfuse.reporting.stage import write_reports

    write_reports(config, config.output, config.output / "report")
    return config.output / "report" / "index.html"
