"""What every command does: read the configuration and call one stage with paths and settings.

Imports of the stages stay inside the functions, so that `survfuse --help` answers at once.
"""

from __future__ import annotations

import argparse
import logging
import signal
from typing import TYPE_CHECKING

from survfuse.errors import RetryableError, UserInputError

if TYPE_CHECKING:
    import pandas as pd

    from survfuse.config import Config
    from survfuse.training.inputs import InputPaths

log = logging.getLogger("survfuse")


def simulate_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.config_source import SimulatedClinicSource, SimulatedSource

    source = load(given.config).source
    if isinstance(source, SimulatedSource):
        from survfuse.demo.cohort import simulate_cohort

        simulate_cohort(source.patients, source.seed, given.out, given.workers)
    elif isinstance(source, SimulatedClinicSource):
        from survfuse.demo.brain_geometry import Grid
        from survfuse.demo.brains import simulate_brains

        simulate_brains(
            source.patients,
            source.seed,
            given.out,
            grid=Grid(source.shape, source.voxel_mm),
            missing_pet_share=source.missing_pet,
            mechanism=source.mechanism,
            masks=True,
            workers=given.workers,
        )
    else:
        raise UserInputError(
            f"{given.config}: source.kind is neither simulate nor simulate_clinic; nothing to "
            "simulate"
        )


def import_command(given: argparse.Namespace) -> None:
    from survfuse.cohort.hancock import import_hancock
    from survfuse.cohort.oasis import import_oasis
    from survfuse.cohort.porpoise import import_porpoise
    from survfuse.config_file import load
    from survfuse.config_source import HancockSource, OasisSource, PorpoiseSource

    source = load(given.config).source
    if isinstance(source, PorpoiseSource):
        import_porpoise(source, given.out)
    elif isinstance(source, HancockSource):
        import_hancock(source, given.out)
    elif isinstance(source, OasisSource):
        import_oasis(source, given.out)
    else:
        raise UserInputError(
            f"{given.config}: source.kind is none of porpoise, hancock and oasis; nothing to import"
        )


def check_command(given: argparse.Namespace) -> None:
    from survfuse.checks import check_run
    from survfuse.cohort.summary import write_cohort
    from survfuse.config_file import load

    config = load(given.config)
    cohort = check_run(config)
    if given.out:
        write_cohort(cohort, config, given.out)
    log.info("%s: no problems found", counted(cohort.outcomes))


def counted(outcomes: pd.DataFrame) -> str:
    """How many patients there are, with how many events or of how many known classes."""
    if "event" in outcomes:
        return f"{len(outcomes)} patients with {int(outcomes['event'].sum())} events"
    known = int((outcomes["label"] >= 0).sum())
    return f"{len(outcomes)} patients, {known} of known class"


def splits_command(given: argparse.Namespace) -> None:
    from survfuse.cohort.splits import split_cohort
    from survfuse.config_file import load

    split_cohort(given.cohort, load(given.config), given.out)


def slides_command(given: argparse.Namespace) -> None:
    from survfuse.cohort.tables import read_slides
    from survfuse.config_file import load
    from survfuse.slides.batch import batch_rows, process_batch

    settings = load(given.config).slides
    rows = batch_rows(read_slides(given.slides), given.batch, given.batches)
    process_batch(rows, settings, given.out, given.manifest, given.threads, given.device)


def merge_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.slides.store import check_failures, merge_manifests

    merge_manifests(given.manifests, given.out)
    check_failures(given.out, load(given.config).slides.max_failed_fraction)


def images_command(given: argparse.Namespace) -> None:
    from survfuse.cohort.tables import read_images
    from survfuse.config_file import load
    from survfuse.imaging.batch import batch_rows, process_batch

    rows = batch_rows(read_images(given.images), given.batch, given.batches)
    process_batch(rows, load(given.config).imaging, given.out, given.manifest, given.threads)


def merge_images_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.imaging.store import check_failures, merge_manifests

    merge_manifests(given.manifests, given.out)
    check_failures(given.out, load(given.config).imaging.max_failed_fraction)


def omics_command(given: argparse.Namespace) -> None:
    from survfuse.cohort.tables import read_clinical
    from survfuse.config_file import load
    from survfuse.omics.matrix import build_matrix, write_matrix

    config = load(given.config)
    if config.cohort.omics is None:
        raise UserInputError(f"{given.config}: cohort.omics is not set; there is nothing to encode")
    patients = read_clinical(given.cohort / "clinical.tsv")["patient_id"].tolist()
    write_matrix(given.out, build_matrix(config.cohort.omics, config.omics, patients))


def train_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.training.stage import train_fold

    stop_when_asked()
    config = load(given.config)
    paths = input_paths(given, config)
    train_fold(config, given.model, given.fold, paths, given.models, given.device)


def input_paths(given: argparse.Namespace, config: Config) -> InputPaths:
    """The files that a model may read; none of them holds a test outcome."""
    from survfuse.training.inputs import InputPaths

    return InputPaths(
        given.splits,
        given.clinical,
        given.slides,
        given.omics,
        given.images,
        given.synthesis,
        config.imaging.visit,
    )


def synthesise_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.synthesis.stage import synthesise_fold

    stop_when_asked()
    synthesise_fold(load(given.config), given.fold, given.images, given.out, given.device)


def stop_when_asked() -> None:
    """Turn a scheduler's warning into exit code 75: the job is worth running again.

    SLURM sends SIGTERM before it pre-empts a job or ends one at its time limit, or SIGUSR1 where
    `--signal` asks for it. Training continues from its last checkpoint, of at most a minute and an
    epoch ago.
    """

    def stop(number: int, _: object) -> None:
        raise RetryableError(
            f"stopped by {signal.Signals(number).name}; run the same command to continue from the "
            "last checkpoint"
        )

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGUSR1, stop)


def predict_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.training.diagnose_stage import diagnose_model
    from survfuse.training.predict import predict_model

    config = load(given.config)
    predict = diagnose_model if config.task == "diagnosis" else predict_model
    predict(
        config,
        given.model,
        given.folds,
        input_paths(given, config),
        given.models,
        given.out,
        given.patterns,
        given.attention,
        given.device,
    )


def explain_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.training.explaining import explain_model

    config = load(given.config)
    paths = input_paths(given, config)
    explain_model(config, given.model, given.folds, paths, given.models, given.out, given.device)


def map_volumes_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.training.saliency import map_volumes

    config = load(given.config)
    paths = input_paths(given, config)
    map_volumes(config, given.model, given.folds, paths, given.models, given.out, given.device)


def inputs_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load

    input_paths(given, load(given.config)).write_availability(given.out)


def evaluate_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.evaluation.leaderboard import evaluate
    from survfuse.evaluation.predictions import write_tidy

    config = load(given.config)
    tables = {model.name: given.predictions / f"{model.name}.tsv" for model in config.models}
    if config.task == "diagnosis":
        from survfuse.evaluation.class_predictions import write_class_tidy
        from survfuse.evaluation.diagnosis_board import evaluate_diagnoses

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
        {
            name: path
            for name in tables
            if (path := given.predictions / f"{name}.patterns.tsv").is_file()
        },
        given.availability,
        {given.explained.name.removesuffix(".explain.h5"): given.explained}
        if given.explained
        else {},
    )


def report_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.reporting.stage import write_reports

    write_reports(load(given.config), given.results, given.out, given.patient)


def schema_command(given: argparse.Namespace) -> None:
    from survfuse.config_docs import json_schema, markdown
    from survfuse.files import write_text

    write_text(given.out, json_schema() if given.format == "json" else markdown())
