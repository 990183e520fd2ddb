"""Scores of all rows side by side, and the pages people read."""

from __future__ import annotations

import argparse

from survfuse.cli.options import Adder, path_option, place, shared_options


def add_commands(add: Adder) -> None:
    """evaluate, report and compare."""
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
    command = add(
        "compare",
        compare_command,
        "Pool the differences between rows over several finished studies, by meta-analysis.",
        "results/tcga_blca results/tcga_hnsc results/mine --out results/compared --row survfuse",
    )
    command.add_argument(
        "studies",
        metavar="RESULTS_DIR",
        nargs="+",
        type=place,
        help="results of a study: `output` of its configuration; two or more",
    )
    path_option(command, "--out", "directory for compare.json and compare.html")
    command.add_argument(
        "--row",
        action="append",
        default=[],
        metavar="NAME",
        help="pool this row, and draw the first one named; may be repeated; default: all rows that "
        "two studies have",
    )
    command.add_argument(
        "--reference",
        metavar="NAME",
        help="row to compare with; default: that of the studies",
    )


def evaluate_command(given: argparse.Namespace) -> None:
    from survfuse.evaluation.files import EvaluationFiles
    from survfuse.models.runnable import load
    from survfuse.tasks.loading import task_of

    config = load(given.config)
    explained = [given.explained] if given.explained else []
    files = EvaluationFiles(
        outcomes=given.outcomes,
        splits=given.splits,
        predictions=given.predictions,
        out=given.out,
        truth=given.truth,
        availability=given.availability,
        synthesis=given.synthesis,
        explained={path.name.split(".")[0]: path for path in explained},  # names have no dots
    )
    task = task_of(config)
    if given.tidy:
        task.write_tidy({row.name: files.table(row.name) for row in config.models}, given.tidy)
    task.evaluate(config, files)


def report_command(given: argparse.Namespace) -> None:
    from survfuse.models.runnable import load
    from survfuse.reporting.stage import write_reports

    write_reports(load(given.config), given.results, given.out, given.patient)


def compare_command(given: argparse.Namespace) -> None:
    from survfuse.reporting.comparison.stage import compare

    compare(given.studies, given.out, given.row, given.reference)
