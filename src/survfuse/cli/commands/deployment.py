"""From a finished study to the next patients."""

from __future__ import annotations

import argparse
import logging

from survfuse.cli.options import Adder, path_option, shared_options
from survfuse.modalities.registry import MODALITIES, SHEET_OF

log = logging.getLogger("survfuse")


def add_commands(add: Adder) -> None:
    """package and predict."""
    command = add(
        "package",
        package_command,
        "Freeze a finished study into a folder that predicts patients who were not in it.",
        "--config configs/demo.yaml --out packages/demo",
    )
    path_option(command, "--out", "folder of the package; its .zip is written beside it")
    command.add_argument(
        "--predictor", metavar="NAME", help="row that predicts; default: that of patient pages"
    )
    command = add(
        "predict",
        predict_command,
        "Predict patients who were in no study, by the models of a package; no outcomes needed.",
        "--package packages/demo --patients new_patients.tsv --omics genes.csv --out results/new",
    )
    path_option(command, "--package", "folder that survfuse package wrote")
    path_option(command, "--patients", "patient sheet: patient_id and the covariates of the study")
    for source, name in SHEET_OF.items():
        path_option(command, f"--{source}", f"sheet of {MODALITIES[name].noun}", required=False)
    path_option(
        command, "--weights", "weights of the slide encoder, which no package holds", required=False
    )
    path_option(command, "--out", "folder for predictions and pages")
    shared_options(command, "--threads", "--device")


def package_command(given: argparse.Namespace) -> None:
    from survfuse.deployment.freeze import freeze_study
    from survfuse.models.runnable import load

    out = freeze_study(load(given.config), given.out, given.predictor)
    log.info("%s: predicts patients who were not in the study (survfuse predict)", out)


def predict_command(given: argparse.Namespace) -> None:
    from survfuse.artifacts.package import open_package
    from survfuse.deployment.inputs import NewSheets
    from survfuse.deployment.predict import predict_new

    brought = {source: path for source in SHEET_OF if (path := vars(given)[source])}
    sheets = NewSheets(given.patients, brought, given.weights)
    package = open_package(given.package)
    records = predict_new(package, sheets, given.out, given.threads, given.device)
    log.info("%s: predictions of %d patients", given.out, len(records))
