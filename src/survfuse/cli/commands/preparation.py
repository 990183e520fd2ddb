"""Slides, brain volumes and genes: what is made of them before any model is fitted."""

from __future__ import annotations

import argparse

from survfuse.cli.options import BATCH, Adder, path_option, place, shared_options
from survfuse.cli.signals import stop_when_asked
from survfuse.core.errors import UserInputError


def add_commands(add: Adder) -> None:
    """process-slides to encode-omics."""
    command = add(
        "process-slides",
        slides_command,
        "Find tissue, cut tiles and embed them, for one batch of slides.",
        "--config configs/demo.yaml --slides results/demo/cohort/slides.tsv --batch 0 --batches 6 "
        "--out results/demo/slides --manifest results/demo/slides/batches/0.tsv",
    )
    path_option(command, "--slides", "slides.tsv that check-cohort wrote")
    shared_options(command, *BATCH)
    path_option(command, "--out", "directory for coordinates, embeddings and overviews")
    shared_options(command, "--device")
    command = add(
        "merge-slides",
        merge_command,
        "Join the tables of all batches; stop if too many slides failed.",
        "--config configs/demo.yaml --out results/demo/slides/slides.tsv "
        "results/demo/slides/batches/*.tsv",
    )
    command.add_argument("manifests", type=place, nargs="+", help="tables of the batches")
    path_option(command, "--out", "table of all slides")
    command = add(
        "prepare-images",
        images_command,
        "Correct, mask, register and scale brain volumes, for one batch of patients.",
        "--config my_cohort.yaml --images results/mine/cohort/images.tsv --batch 0 --batches 6 "
        "--out results/mine/images --manifest results/mine/images/batches/0.tsv",
    )
    path_option(command, "--images", "images.tsv that check-cohort wrote")
    shared_options(command, *BATCH)
    path_option(command, "--out", "directory for volumes, tensors and pictures")
    command = add(
        "merge-images",
        merge_images_command,
        "Join the tables of all batches; stop if too many volumes failed.",
        "--config my_cohort.yaml --out results/mine/images/images.tsv "
        "results/mine/images/batches/*.tsv",
    )
    command.add_argument("manifests", type=place, nargs="+", help="tables of the batches")
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
    shared_options(command, "--device")
    command = add(
        "encode-omics",
        omics_command,
        "Read the gene matrix and pack it by gene set.",
        "--config configs/demo.yaml --cohort results/demo/cohort "
        "--out results/demo/omics/omics.npz",
    )
    shared_options(command, "--cohort")
    path_option(command, "--out", "file to write")


def slides_command(given: argparse.Namespace) -> None:
    from survfuse.artifacts.cohort_tables import read_slides
    from survfuse.modalities.slides.batch import batch_rows, process_batch
    from survfuse.modalities.slides.modality import slide_roots
    from survfuse.models.runnable import load

    config = load(given.config)
    roots = slide_roots(config)
    rows = batch_rows(read_slides(given.slides), given.batch, given.batches)
    process_batch(
        rows, config.slides, given.out, given.manifest, given.threads, given.device, roots
    )


def merge_command(given: argparse.Namespace) -> None:
    from survfuse.modalities.slides.merging import merge_slides
    from survfuse.modalities.slides.store import check_failures
    from survfuse.models.runnable import load

    merge_slides(given.manifests, given.out)
    check_failures(given.out, load(given.config).slides.max_failed_fraction)


def images_command(given: argparse.Namespace) -> None:
    from survfuse.artifacts.cohort_tables import read_images
    from survfuse.modalities.volumes.batch import batch_rows, process_batch
    from survfuse.models.runnable import load

    rows = batch_rows(read_images(given.images), given.batch, given.batches)
    process_batch(rows, load(given.config).imaging, given.out, given.manifest, given.threads)


def merge_images_command(given: argparse.Namespace) -> None:
    from survfuse.modalities.volumes.store import check_failures, merge_manifests, note_copies
    from survfuse.models.runnable import load

    merge_manifests(given.manifests, given.out)
    note_copies(given.out)
    check_failures(given.out, load(given.config).imaging.max_failed_fraction)


def synthesise_command(given: argparse.Namespace) -> None:
    from survfuse.models.runnable import load
    from survfuse.synthesis.stage import synthesise_fold

    stop_when_asked()
    synthesise_fold(load(given.config), given.fold, given.images, given.out, given.device)


def omics_command(given: argparse.Namespace) -> None:
    from survfuse.artifacts.cohort_tables import read_clinical
    from survfuse.artifacts.layout import CohortFolder
    from survfuse.modalities.omics.matrix import build_matrix, write_matrix
    from survfuse.models.runnable import load

    config = load(given.config)
    if config.cohort.omics is None:
        raise UserInputError(f"{given.config}: cohort.omics is not set; there is nothing to encode")
    patients = read_clinical(CohortFolder(given.cohort).clinical)["patient_id"].tolist()
    write_matrix(given.out, build_matrix(config.cohort.omics, config.omics, patients))
