"""Fitting and running the rows of the leaderboard."""

from __future__ import annotations

import argparse

from survfuse.cli.inputs import input_paths
from survfuse.cli.options import MODEL, PATIENTS, Adder, path_option, shared_options
from survfuse.cli.signals import stop_when_asked

# What the examples share: the inputs of the demonstration.
KNOWN = (
    "--splits results/demo/splits/splits.tsv --clinical results/demo/cohort/clinical.tsv "
    "--input slides=results/demo/slides/slides.tsv --input omics=results/demo/omics/omics.npz"
)


def add_commands(add: Adder) -> None:
    """train, predict-folds, explain, map-volumes and list-inputs."""
    command = add(
        "train",
        train_command,
        "Fit one model on the training part of a fold, or of several; continues interrupted work.",
        "--config configs/demo.yaml --model cmta --folds results/demo/splits/r0f0 "
        f"{KNOWN} --models results/demo/models",
    )
    shared_options(command, *MODEL)
    path_option(
        command, "--record", "file that lists the folds once all are fitted", required=False
    )
    command = add(
        "predict-folds",
        predict_command,
        "Predict every patient out of fold, with the model that was not trained on the patient.",
        "--config configs/demo.yaml --model cmta --folds results/demo/splits/r0f* "
        f"{KNOWN} --models results/demo/models --out results/demo/predictions/cmta.tsv",
    )
    shared_options(command, *MODEL)
    path_option(command, "--out", "table of predictions")
    path_option(
        command, "--ablations", "table of risks from one modality at a time", required=False
    )
    path_option(command, "--attention", "file of attention weights", required=False)
    command = add(
        "explain",
        explain_command,
        "Say what moved the estimates of a network, with how stable that is over folds.",
        "--config configs/demo.yaml --model survfuse --folds results/demo/splits/r0f* "
        f"{KNOWN} --models results/demo/models --out results/demo/predictions/survfuse.explain.h5",
    )
    shared_options(command, *MODEL)
    path_option(command, "--out", "file of explanations")
    command = add(
        "map-volumes",
        map_volumes_command,
        "Say what in the volumes moved the diagnoses of a network, for patients with a page.",
        "--config my_clinic.yaml --model itcfn --folds results/mine/splits/r0f* "
        "--splits results/mine/splits/splits.tsv --clinical results/mine/cohort/clinical.tsv "
        "--input images=results/mine/images/images.tsv --models results/mine/models "
        "--out results/mine/predictions/itcfn.saliency.h5",
    )
    shared_options(command, *MODEL)
    path_option(command, "--out", "file of maps")
    command = add(
        "list-inputs",
        inputs_command,
        "List who has which modality, after bad slides were set aside.",
        f"--config configs/demo.yaml {KNOWN} --out results/demo/predictions/availability.tsv",
    )
    shared_options(command, *PATIENTS)
    path_option(command, "--out", "table to write")


def train_command(given: argparse.Namespace) -> None:
    from survfuse.models.runnable import load
    from survfuse.training.stage import train_folds

    stop_when_asked()
    config = load(given.config)
    paths = input_paths(given, config)
    train_folds(config, given.model, given.folds, paths, given.models, given.device, given.record)


def predict_command(given: argparse.Namespace) -> None:
    from survfuse.models.runnable import load
    from survfuse.training.predict import predict_model

    config = load(given.config)
    predict_model(
        config,
        given.model,
        given.folds,
        input_paths(given, config),
        given.models,
        given.out,
        given.ablations,
        given.attention,
        given.device,
    )


def explain_command(given: argparse.Namespace) -> None:
    from survfuse.explain.stage import explain_model
    from survfuse.models.runnable import load

    config = load(given.config)
    paths = input_paths(given, config)
    explain_model(config, given.model, given.folds, paths, given.models, given.out, given.device)


def map_volumes_command(given: argparse.Namespace) -> None:
    from survfuse.explain.saliency import map_volumes
    from survfuse.models.runnable import load

    config = load(given.config)
    paths = input_paths(given, config)
    map_volumes(config, given.model, given.folds, paths, given.models, given.out, given.device)


def inputs_command(given: argparse.Namespace) -> None:
    from survfuse.modalities.inputs import write_availability
    from survfuse.models.runnable import load

    write_availability(input_paths(given, load(given.config)), given.out)
