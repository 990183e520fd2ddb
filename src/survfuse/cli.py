"""The command line: one command per stage, and the only module that the workflow calls.

Imports of the stages stay inside the commands, so that `survfuse --help` answers at once.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from survfuse import __version__
from survfuse.errors import RetryableError, SurvfuseError, UserInputError

log = logging.getLogger("survfuse")

Command = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0 done, 2 wrong input, 3 missing device or weights, 4 too many failed items, 75 worth another
    try with more memory or time, 1 a defect of survfuse.
    """
    parsed = parser().parse_args(arguments)
    os.umask(0o077)  # patient data: results are readable by their owner alone
    start_logging(parsed.log)
    try:
        parsed.command(parsed)
    except SurvfuseError as error:
        log.error("%s", error)
        return error.exit_code
    except MemoryError:
        log.error("memory ran out; run this job again with more")
        return RetryableError.exit_code
    except KeyboardInterrupt:
        log.error("interrupted; run the same command to continue")
        return 130
    except Exception:
        log.exception("this is a defect of survfuse, not of your input; please report it")
        return 1
    return 0


def start_logging(file: Path | None) -> None:
    """Everything to the log file if there is one, warnings and errors to the terminal."""
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("survfuse: %(message)s"))
    terminal.setLevel(logging.WARNING if file else logging.INFO)
    handlers: list[logging.Handler] = [terminal]
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        written = logging.FileHandler(file, mode="w", encoding="utf-8")
        written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(written)
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    log.setLevel(logging.INFO)


def parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    root = argparse.ArgumentParser(
        prog="survfuse",
        description="Multimodal survival models from slides, genes and clinical tables. The "
        "workflow runs these commands for you: `snakemake --cores all`.",
    )
    root.add_argument("--version", action="version", version=f"survfuse {__version__}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, function: Command, purpose: str, example: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=purpose,
            description=purpose,
            epilog=f"example:\n  survfuse {name} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--log", type=Path, help="write a full log to this file")
        command.set_defaults(command=function)
        if name != "schema":
            command.add_argument("--config", type=Path, required=True, help="configuration (YAML)")
        return command

    add_cohort_commands(add)
    add_stage_commands(add)
    add_model_commands(add)
    schema = add(
        "schema",
        schema_command,
        "Write the JSON schema, or the documentation, of the configuration.",
        "--format markdown --out docs/configuration.md",
    )
    schema.add_argument("--format", choices=["json", "markdown"], default="json")
    path_option(schema, "--out", "file to write")
    return root


Adder = Callable[[str, Command, str, str], argparse.ArgumentParser]


def path_option(
    command: argparse.ArgumentParser, name: str, purpose: str, required: bool = True
) -> None:
    """Add an option that takes a path."""
    command.add_argument(name, type=Path, required=required, help=purpose)


def add_cohort_commands(add: Adder) -> None:
    """From the source of a cohort to its folds."""
    command = add(
        "simulate",
        simulate_command,
        "Draw the simulated cohort, with real slide files and known truth.",
        "--config configs/demo.yaml --out results/demo/sheets",
    )
    path_option(command, "--out", "directory for the sample sheets and slides")
    command.add_argument("--workers", type=int, default=1, help="processes that draw slides")
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
    command.add_argument("--batch", type=int, required=True, help="number of the batch, from 0")
    command.add_argument("--batches", type=int, required=True, help="how many batches there are")
    path_option(command, "--out", "directory for coordinates, embeddings and overviews")
    path_option(command, "--manifest", "table with the status of every slide of the batch")
    command.add_argument("--threads", type=int, default=1, help="CPU threads")
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
    command.add_argument("--batch", type=int, required=True, help="number of the batch, from 0")
    command.add_argument("--batches", type=int, required=True, help="how many batches there are")
    path_option(command, "--out", "directory for volumes, tensors and pictures")
    path_option(command, "--manifest", "table with the status of every volume of the batch")
    command.add_argument("--threads", type=int, default=1, help="visits worked on at a time")
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
        "list-inputs",
        inputs_command,
        "List who has which modality, after bad slides were set aside.",
        "--config configs/demo.yaml --clinical results/demo/cohort/clinical.tsv "
        "--slides results/demo/slides/slides.tsv --omics results/demo/omics/omics.npz "
        "--splits results/demo/splits/splits.tsv --out results/demo/cohort/availability.tsv",
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


def simulate_command(given: argparse.Namespace) -> None:
    from survfuse.config import SimulatedSource
    from survfuse.config_file import load
    from survfuse.demo.cohort import simulate_cohort

    source = load(given.config).source
    if not isinstance(source, SimulatedSource):
        raise UserInputError(f"{given.config}: source.kind is not simulate; nothing to simulate")
    simulate_cohort(source.patients, source.seed, given.out, given.workers)


def import_command(given: argparse.Namespace) -> None:
    from survfuse.cohort.hancock import import_hancock
    from survfuse.cohort.porpoise import import_porpoise
    from survfuse.config import HancockSource, PorpoiseSource
    from survfuse.config_file import load

    source = load(given.config).source
    if isinstance(source, PorpoiseSource):
        import_porpoise(source, given.out)
    elif isinstance(source, HancockSource):
        import_hancock(source, given.out)
    else:
        raise UserInputError(
            f"{given.config}: source.kind is neither porpoise nor hancock; nothing to import"
        )


def check_command(given: argparse.Namespace) -> None:
    from survfuse.cohort.check import check_cohort
    from survfuse.cohort.summary import write_cohort
    from survfuse.config_file import load

    config = load(given.config)
    cohort = check_cohort(config)
    from survfuse.training.stage import check_models

    check_models(config)
    if given.out:
        write_cohort(cohort, config, given.out)
    log.info(
        "%d patients with %d events: no problems found",
        len(cohort.outcomes),
        int(cohort.outcomes["event"].sum()),
    )


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
    from survfuse.training.inputs import InputPaths
    from survfuse.training.stage import train_fold

    stop_when_asked()
    paths = InputPaths(given.splits, given.clinical, given.slides, given.omics)
    train_fold(load(given.config), given.model, given.fold, paths, given.models, given.device)


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
    from survfuse.training.inputs import InputPaths
    from survfuse.training.predict import predict_model

    paths = InputPaths(given.splits, given.clinical, given.slides, given.omics)
    predict_model(
        load(given.config),
        given.model,
        given.folds,
        paths,
        given.models,
        given.out,
        given.patterns,
        given.attention,
        given.device,
    )


def explain_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.training.explaining import explain_model
    from survfuse.training.inputs import InputPaths

    paths = InputPaths(given.splits, given.clinical, given.slides, given.omics)
    explain_model(
        load(given.config), given.model, given.folds, paths, given.models, given.out, given.device
    )


def inputs_command(given: argparse.Namespace) -> None:
    from survfuse.training.inputs import InputPaths

    paths = InputPaths(given.splits, given.clinical, given.slides, given.omics)
    paths.write_availability(given.out)


def evaluate_command(given: argparse.Namespace) -> None:
    from survfuse.config_file import load
    from survfuse.evaluation.leaderboard import evaluate
    from survfuse.evaluation.predictions import write_tidy

    config = load(given.config)
    tables = {model.name: given.predictions / f"{model.name}.tsv" for model in config.models}
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


if __name__ == "__main__":
    sys.exit(main())
