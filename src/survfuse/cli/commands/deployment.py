"""From a finished study to the next patients."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from survfuse.cli.options import BATCH, Adder, path_option, shared_options
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import MODALITIES, SHEET_OF
from survfuse.reporting.language import CODES, SOURCE
from survfuse.reporting.new_patients.style import PAPERS, Style

if TYPE_CHECKING:
    from survfuse.deployment.inputs import NewSheets

WEIGHTS = "weights of the slide encoder, which no package holds"
log = logging.getLogger("survfuse")


def add_commands(add: Adder) -> None:
    """package, prepare-new, predict and validate-external."""
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
        "prepare-new",
        prepare_command,
        "Prepare a batch of the slides or volumes of new patients, before predict.",
        "--package packages/demo --patients new_patients.tsv --slides slides.tsv "
        "--source slides --batch 0 --batches 4 --out results/new",
    )
    sheet_options(command)
    command.add_argument("--source", required=True, metavar="NAME", help="sheet, such as slides")
    batch = [option for option in BATCH if option != "--manifest"]
    shared_options(command, *batch, "--device")
    path_option(command, "--out", "folder for predictions and pages")
    command = add(
        "predict",
        predict_command,
        "Predict patients who were in no study, by the models of a package; no outcomes needed.",
        "--package packages/demo --patients new_patients.tsv --omics genes.csv --out results/new",
    )
    sheet_options(command)
    path_option(command, "--out", "folder for predictions and pages")
    style_options(command)
    shared_options(command, "--threads", "--device")
    command = add(
        "validate-external",
        validate_command,
        "Check a package on another cohort with outcomes: metrics, calibration, recalibration.",
        "--package packages/demo --config other_hospital.yaml --out results/external",
    )
    path_option(command, "--package", "folder that survfuse package wrote")
    path_option(command, "--out", "folder for the page and the tables")
    path_option(command, "--weights", WEIGHTS, required=False)
    shared_options(command, "--threads", "--device")


def sheet_options(command: argparse.ArgumentParser) -> None:
    """The package, and the sheets of new patients."""
    path_option(command, "--package", "folder that survfuse package wrote")
    path_option(command, "--patients", "patient sheet: patient_id and the covariates of the study")
    for source, name in SHEET_OF.items():
        path_option(command, f"--{source}", f"sheet of {MODALITIES[name].noun}", required=False)
    path_option(command, "--weights", WEIGHTS, required=False)


def style_options(command: argparse.ArgumentParser) -> None:
    """How pages and documents are written."""
    command.add_argument("--language", choices=CODES, default=SOURCE, help="of pages and documents")
    command.add_argument("--paper", choices=list(PAPERS), default="A4", help="of documents")
    command.add_argument(
        "--no-documents",
        dest="documents",
        action="store_false",
        help="write pages alone: no PDF and no sheets for patients, which take a second for each",
    )


def style_given(given: argparse.Namespace) -> Style:
    """The style that the options name."""
    return Style(given.language, given.paper, given.documents)


def sheets_given(given: argparse.Namespace) -> NewSheets:
    """The sheets that the options name."""
    from survfuse.deployment.inputs import NewSheets

    brought = {source: path for source in SHEET_OF if (path := vars(given)[source])}
    return NewSheets(given.patients, brought, given.weights)


def package_command(given: argparse.Namespace) -> None:
    from survfuse.deployment.freeze import freeze_study
    from survfuse.models.runnable import load

    out = freeze_study(load(given.config), given.out, given.predictor)
    log.info("%s: predicts patients who were not in the study (survfuse predict)", out)


def prepare_command(given: argparse.Namespace) -> None:
    from survfuse.artifacts.package import open_package
    from survfuse.deployment.run import prepare_batch, prepared_in_batches

    if given.source not in SHEET_OF or not prepared_in_batches(given.source):
        listed = ", ".join(source for source in SHEET_OF if prepared_in_batches(source))
        raise UserInputError(f"--source {given.source}: lists no files; known are {listed}")
    if vars(given)[given.source] is None:
        raise UserInputError(f"--{given.source}: name the sheet of --source {given.source}")
    package, batch = open_package(given.package), (given.batch, given.batches)
    sheets = sheets_given(given)
    prepare_batch(package, sheets, given.out, given.source, batch, given.threads, given.device)


def predict_command(given: argparse.Namespace) -> None:
    from survfuse.artifacts.package import open_package
    from survfuse.deployment.predict import predict_new

    package, style = open_package(given.package), style_given(given)
    records = predict_new(
        package, sheets_given(given), given.out, given.threads, given.device, style=style
    )
    log.info("%s: predictions of %d patients", given.out, len(records))


def validate_command(given: argparse.Namespace) -> None:
    from survfuse.models.runnable import load

    config = load(given.config)  # before the imports that take seconds
    from survfuse.artifacts.package import open_package
    from survfuse.artifacts.package_layout import ExternalFolder
    from survfuse.deployment.validate import validate_external

    package = open_package(given.package)
    about = (given.threads, given.device, given.weights)
    record = validate_external(package, config, given.out, *about)
    page = ExternalFolder(given.out).validation_page
    log.info("%s: %d patients of %s", page, record["cohort"]["n_patients"], config.name)
