"""A finished study, and what its package says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from survfuse import __version__
from survfuse.artifacts.checkpoint import software
from survfuse.artifacts.evaluation import Evaluation, read_evaluation
from survfuse.artifacts.layout import ResultsFolder
from survfuse.artifacts.package import SCHEMA
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_object
from survfuse.models.specs import find_model, parts_of, reads_of
from survfuse.reporting.findings import page_model
from survfuse.tasks.loading import task_of


@dataclass(frozen=True)
class FinishedStudy:
    """A finished study, and which of its rows a package is made of."""

    config: Config
    results: ResultsFolder
    evaluation: Evaluation
    row: str
    rows: list[ModelConfig]  # with the reference, and the rows that either averages


def finished(config: Config, row: str | None) -> FinishedStudy:
    """The study of a configuration. Raises UserInputError where it is not finished."""
    results = ResultsFolder(config.output)
    if not results.evaluation.scores.is_file():
        raise UserInputError(
            f"{results.evaluation.scores}: is not there; finish the study before it is packaged "
            "(survfuse run)"
        )
    evaluation = read_evaluation(results.evaluation.scores)
    name = row or page_model(config, evaluation)
    scored = {one["model"]: one for one in evaluation["rows"]}
    if name not in scored:
        raise UserInputError(f"{name}: is no row that was evaluated; known are {', '.join(scored)}")
    if scored[name]["role"] in ("site", "control", "oracle"):
        raise UserInputError(
            f"{name}: is a row to compare with, not one to predict with; name another one"
        )
    wanted = [name, evaluation["reference"]]
    for one in wanted:
        wanted += [part for part in parts_of(find_model(config, one)) if part not in wanted]
    rows = [one for one in config.models if one.name in wanted]
    return FinishedStudy(config, results, evaluation, name, rows)


def performance_of(study: FinishedStudy) -> dict[str, Any]:
    """What the evaluation found of the row and the reference, and between them."""
    evaluation = study.evaluation
    shown = {study.row, evaluation["reference"]}
    comparisons = [
        dict(one)
        for one in evaluation["comparisons"]
        if (one["model"], one["reference"]) == (study.row, evaluation["reference"])
    ]
    rows = {row["model"]: row for row in evaluation["rows"] if row["model"] in shown}
    board = next(
        board
        for board in task_of(study.config).documented()
        if board.ranking.found(rows[study.row]) is not None
    )
    return {
        "confidence": evaluation["confidence"],
        "n_patients": evaluation["n_patients"],
        "n_folds": evaluation["n_folds"],
        "reference": evaluation["reference"],
        "ranking": {"name": board.ranking.name, "label": board.ranking.label},
        "rows": {
            name: {
                **{key: row[key] for key in ("label", "role", "modalities", "n_repeats")},
                "metrics": {
                    metric.name: {"label": metric.label, "found": metric.found(row)}
                    for metric in board.metrics
                    if metric.shown and metric.is_in(row)
                },
            }
            for name, row in rows.items()
        },
        "comparisons": comparisons,
    }


def described(
    study: FinishedStudy, folds: Mapping[str, list[str]], resources: Mapping[str, Any]
) -> dict[str, Any]:
    """What package.json says of the package."""
    config, summary = study.config, read_object(study.results.cohort.summary)
    n = len(folds[study.row])
    return {
        "schema": SCHEMA,
        "survfuse": __version__,
        "name": config.name,
        "title": config.report.title,
        "task": config.task,
        "row": study.row,
        "reference": study.evaluation["reference"],
        "reads": list(reads_of(find_model(config, study.row), config.models)),
        "folds": folds,
        "predicts": (
            f"the {n} models of the study, each fitted without one of {config.splits.folds} folds "
            "of its patients; their predictions are averaged and recalibrated on the out-of-fold "
            "predictions of the study"
        ),
        "simulated": config.simulation is not None,
        "untrained": config.slides.tile_encoder.untrained and config.cohort.slides is not None,
        "study": {
            key: summary[key]
            for key in ("n_patients", "n_events", "modalities", "median_follow_up_months")
            if key in summary
        },
        "resources": resources,
        "software": software(),
    }
