"""The options of every command, with its purpose and an example, as `--help` shows them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from survfuse.commands import (
    check_command,
    evaluate_command,
    explain_command,
    images_command,
    import_command,
    inputs_command,
    map_volumes_command,
    merge_command,
    merge_images_command,
    omics_command,
    predict_command,
    report_command,
    schema_command,
    simulate_command,
    slides_command,
    splits_command,
    synthesise_command,
    train_command,
)

Command = Callable[[argparse.Namespace], None]
# Adds a command: its name, function, purpose and example.
Adder = Callable[[str, Command, str, str], argparse.ArgumentParser]


def path_option(
    command: argparse.ArgumentParser, name: str, purpose: str, required: bool = True
) -> None:
    """Add an option that takes a path."""
    command.add_argument(name, type=Path, required=required, help=purpose)


def batch_options(command: argparse.ArgumentParser) -> None:
    """Options that say which batch is worked on."""
    command.add_argument("--batch", type=int, required=True, help="number of the batch, from 0")
    command.add_argument("--batches", type=count, required=True, help="how many batches there are")


def count(text: str) -> int:
    """A number of things, of which there must be one at least."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def add_cohort_commands(add: Adder) -> None:
    """From the source of a cohort to its folds."""
    command = add(
        "simulate",
        simulate_command,
        "Draw the simulated cohort, with real files of slides or brain volumes and known truth.",
        "--config configs/demo.yaml --out results/demo/sheets",
    )
    path_option(command, "--out", "directory for the sample sheets and images")
    command.add_argument("--workers", type=count, default=1, help="processes that draw images")
    command = add(
        "import-cohort",
        import_command,
        "Turn the tables of a published cohort into sample sheets.",
        "--config configs/tcga_blca.yaml --out results/tcga_blca/sheets",
    )
    path_option(command, "--out", "directory for the sample sheets")
    command = add(
        "check-cohort",
        check_command,
        "Validate configuration and sample sheets; list every problem with its remedy.",
        "--config my_cohort.yaml",
    )
    path_option(command, "--out", "directory for the checked tables", required=False)
    command = add(
        "make-splits",
        splits_command,
        "Divide the patients into outer folds and inner parts, once.",
        "--config configs/demo.yaml --cohort results/demo/cohort --out results/demo/splits",
    )
    path_option(command, "--cohort", "directory that check-cohort wrote")
    path_option(command, "--out", "directory for the splits")


def add_stage_commands(add: Adder) -> None:
    """Slides, brain volumes and genes."""
    command = add(
        "process-slides",
        slides_command,
        "Find tissue, cut tiles and embed them, for one batch of slides.",
        "--config configs/demo.yaml --slides results/demo/cohort/slides.tsv --batch 0 --batches 6 "
        "--out results/demo/slides --manifest results/demo/slides/batches/0.tsv",
    )
    path_option(command, "--slides", "slides.tsv that check-cohort wrote")
    batch_options(command)
    path_option(command, "--out", "directory for coordinates, embeddings and overviews")
    path_option(command, "--manifest", "table with the status of every slide of the batch")
    command.add_argument("--threads", type=count, default=1, help="CPU threads")
    command.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    command = add(
        "merge-slides",
        merge_command,
        "Join the tables of all batches; stop if too many slides failed.",
        "--config configs/demo.yaml --out results/demo/slides/slides.tsv "
        "results/demo/slides/batches/*.tsv",
    )
    command.add_argument("manifests", type=Path, nargs="+", help="tables of the batches")
    path_option(command, "--out", "table of all slides")
    command = add(
        "prepare-images",
        images_command,
        "Correct, mask, register and scale brain volumes, for one batch of patients.",
        "--config my_cohort.yaml --images results/mine/cohort/images.tsv --batch 0 --batches 6 "
        "--out results/mine/images --manifest results/mine/images/batches/0.tsv",
    )
    path_option(command, "--images", "images.tsv that check-cohort wrote")
    batch_options(command)
    path_option(command, "--out", "directory for volumes, tensors and pictures")
    path_option(command, "--manifest", "table with the status of every volume of the batch")
    command.add_argument("--threads", type=count, default=1, help="visits worked on at a time")
    command = add(
        "merge-images",
        merge_images_command,
        "Join the tables of all batches; stop if too many volumes failed.",
        "--config my_cohort.yaml --out results/mine/images/images.tsv "
        "results/mine/images/batches/*.tsv",
    )
    command.add_argument("manifests", type=Path, nargs="+", help="tables of the batches")
    path_option(command, "--out", "table of all volumes")
    command = add(
        "synthesise",
        synthesise_command,
        "Make the MRI or PET that patients lack, by a generator fitted on one fold's pairs.",
        "--config my_cohort.yaml --fold results/mine/splits/r0f0 "
        "--images results/mine/images/images.tsv --out results/mine/synthesis/r0f0",
    )
    path_option(command, "--fold", "directory of the fold")
    path_option(command, "--images", "table of all volumes, from merge-images")
    path_option(command, "--out", "directory for the volumes of this fold")
    command.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    command = add(
        "encode-omics",
        omics_command,
        "Read the gene matrix and pack it by gene set.",
        "--config configs/demo.yaml --cohort results/demo/cohort "
        "--out results/demo/omics/omics.npz",
    )
    path_option(command, "--cohort", "directory that check-cohort wrote")
    path_option(command, "--out", "file to write")


def add_model_commands(add: Adder) -> None:
    """Training, prediction, evaluation and reports."""
    command = add(
        "train",
        train_command,
        "Fit one model on the training part of one fold; continues interrupted work.",
        "--config configs/demo.yaml --model cmta --fold results/demo/splits/r0f0 "
        "--splits results/demo/splits/splits.tsv --clinical results/demo/cohort/clinical.tsv "
        "--slides results/demo/slides/slides.tsv --omics results/demo/omics/omics.npz "
        "--models results/demo/models",
    )
    path_option(command, "--fold", "directory of the fold")
    input_options(command)
    command = add(
        "predict",
        predict_command,
        "Predict every patient with the model that has not seen the patient.",
        "--config configs/demo.yaml --model cmta --folds results/demo/splits/r0f* "
        "--splits results/demo/splits/splits.tsv --clinical results/demo/cohort/clinical.tsv "
        "--slides results/demo/slides/slides.tsv --omics results/demo/omics/omics.npz "
        "--models results/demo/models --out results/demo/predictions/cmta.tsv",
    )
    command.add_argument("--folds", type=Path, nargs="+", required=True, help="fold directories")
    input_options(command)
    path_option(command, "--out", "table of predictions")
    path_option(command, "--patterns", "table of risks from one modality at a time", required=False)
    path_option(command, "--attention", "file of attention weights", required=False)
    command = add(
        "explain",
        explain_command,
        "Say what moved the estimates of a network, with how stable that is over folds.",
        "--config configs/demo.yaml --model survfuse --folds results/demo/splits/r0f* "
        "--splits results/demo/splits/splits.tsv --clinical results/demo/cohort/clinical.tsv "
        "--slides results/demo/slides/slides.tsv --omics results/demo/omics/omics.npz "
        "--models results/demo/models --out results/demo/predictions/survfuse.explain.h5",
    )
    command.add_argument("--folds", type=Path, nargs="+", required=True, help="fold directories")
    input_options(command)
    path_option(command, "--out", "file of explanations")
    command = add(
        "map-volumes",
        map_volumes_command,
        "Say what in the volumes moved the diagnoses of a network, for patients with a page.",
        "--config my_clinic.yaml --model itcfn --folds results/mine/splits/r0f* "
        "--splits results/mine/splits/splits.tsv --clinical results/mine/cohort/clinical.tsv "
        "--images results/mine/images/images.tsv --models results/mine/models "
        "--out results/mine/predictions/itcfn.saliency.h5",
    )
    command.add_argument("--folds", type=Path, nargs="+", required=True, help="fold directories")
    input_options(command)
    path_option(command, "--out", "file of maps")
    command = add(
        "list-inputs",
        inputs_command,
        "List who has which modality, after bad slides were set aside.",
        "--config configs/demo.yaml --clinical results/demo/cohort/clinical.tsv "
        "--slides results/demo/slides/slides.tsv --omics results/demo/omics/omics.npz "
        "--splits results/demo/splits/splits.tsv --out results/demo/predictions/availability.tsv",
    )
    file_options(command)
    path_option(command, "--out", "table to write")
    command = add(
        "evaluate",
        evaluate_command,
        "Score the out-of-fold predictions of all models side by side.",
        "--config configs/demo.yaml --outcomes results/demo/cohort/outcomes.tsv "
        "--splits results/demo/splits/splits.tsv --predictions results/demo/predictions "
        "--out results/demo/evaluation/evaluation.json",
    )
    path_option(command, "--outcomes", "outcomes.tsv that check-cohort wrote")
    path_option(command, "--splits", "splits.tsv")
    path_option(command, "--predictions", "directory of the prediction tables")
    path_option(command, "--truth", "truth.tsv of a simulated cohort", required=False)
    path_option(command, "--availability", "table of who has which modality", required=False)
    path_option(command, "--explained", "explanations of one model", required=False)
    path_option(command, "--synthesis", "directory of synthesised volumes", required=False)
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


def input_options(command: argparse.ArgumentParser) -> None:
    """Options of the commands that run a model; none of them leads to a test outcome."""
    command.add_argument("--model", required=True, help="name of the model row")
    file_options(command)
    path_option(command, "--models", "directory of fitted models")
    command.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")


def file_options(command: argparse.ArgumentParser) -> None:
    """Options that name what is known of the patients, outcomes excepted."""
    path_option(command, "--splits", "splits.tsv (patients and folds, no outcomes)")
    path_option(command, "--clinical", "clinical.tsv (covariates, no outcomes)")
    path_option(command, "--slides", "table of all slides", required=False)
    path_option(command, "--omics", "packed gene matrix", required=False)
    path_option(command, "--images", "table of all volumes", required=False)
    path_option(command, "--synthesis", "directory of synthesised volumes", required=False)


def add_schema_command(add: Adder) -> None:
    """The documentation of the configuration, which needs none itself."""
    command = add(
        "schema",
        schema_command,
        "Write the JSON schema, or the documentation, of the configuration.",
        "--format markdown --out docs/configuration.md",
    )
    command.add_argument("--format", choices=["json", "markdown"], default="json")
    path_option(command, "--out", "file to write")
