"""Scores of all rows side by side, and the pages people read."""

from __future__ import annotations

import argparse

from survfuse.cli.options import Adder, path_option, shared_options


def add_commands(add: Adder) -> None:
    """evaluate and report."""
    command = add(
        "evaluate",
        evaluate_command,
        "Score the out-of-fold predictions of all models side by side.",
        "--config configs/demo.yaml --outcomes results/demo/cohort/outcomes.tsv "
        "--splits results/demo/splits/splits.tsv --predictions results/demo/predictions "
        "--out results/demo/evaluation/evaluation.json",
    )
    path_option(command, "--outcomes", "outcomes.tsv that check-cohort wrote")
    shared_options(command, "--splits", "--synthesis")
    path_option(command, "--predictions", "directory of the prediction tables")
    path_option(command, "--truth", "truth.tsv of a simulated cohort", required=False)
    path_option(command, "--availability", "table of who has which modality", required=False)
    path_option(command, "--explained", "explanations of one model", required=False)
    path_option(command, "--tidy", "also write all predictions as one long table", required=False)
    path_option(command, "--out", "file to write")
    command = add(
        "report",
        report_command,
        "Write the cohort report and the patient pages.",
        "--config configs/demo.yaml --results results/demo --out results/demo/report",
    )
    path_option(command, "--results", "directory with all results of the run")
    path_option(command, "--out", "directory for the pages")
    command.add_argument("--patient", action="append", help="write the page of this patient only")


def evaluate_command(given: argparse.Namespace) -> None:
    from survfuse.artifacts.layout import PredictionsFolder
    from survfuse.artifacts.predictions import write_tidy
    from survfuse.models.runnable import load
    from survfuse.tasks.survival.leaderboard import evaluate

    config = load(given.config)
    predictions = PredictionsFolder(given.predictions)
    tables = {model.name: predictions.table(model.name) for model in config.models}
    if config.task == "diagnosis":
        from survfuse.tasks.diagnosis.leaderboard import evaluate_diagnoses
        from survfuse.tasks.diagnosis.predictions import write_class_tidy

        if given.tidy:
            write_class_tidy(tables, given.tidy)
        evaluate_diagnoses(
            config,
            given.outcomes,
            given.splits,
            given.predictions,
            given.out,
            given.truth,
            given.availability,
            given.synthesis,
        )
        return
    if given.tidy:
        write_tidy(tables, given.tidy)
    evaluate(
        tables,
        given.outcomes,
        given.splits,
        config.models,
        config.evaluation,
        config.grid_months(),
        given.truth,
        given.out,
        {name: path for name in tables if (path := predictions.ablations(name)).is_file()},
        given.availability,
        {given.explained.name.removesuffix(".explain.h5"): given.explained}
        if given.explained
        else {},
        config.left_out,
    )


def report_command(given: argparse.Namespace) -> None:
    from survfuse.models.runnable import load
    from survfuse.reporting.stage import write_reports

    write_reports(load(given.config), given.results, given.out, given.patient)
