"""From the source of a cohort to its folds."""

from __future__ import annotations

import argparse
import logging

from survfuse.cli.options import Adder, count, path_option, shared_options
from survfuse.core.errors import UserInputError

log = logging.getLogger("survfuse")


def add_commands(add: Adder) -> None:
    """simulate, import-cohort, check-cohort and make-splits."""
    command = add(
        "simulate",
        simulate_command,
        "Draw the simulated cohort, with real files of slides or brain volumes and known truth.",
        "--config configs/demo.yaml --out results/demo/sheets",
    )
    path_option(command, "--out", "directory for the sample sheets and images")
    command.add_argument("--workers", type=count, default=1, help="processes that draw images")
    command.add_argument(
        "--new-patients",
        action="store_true",
        help="draw three patients who are not in the cohort, without outcomes, instead of it",
    )
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
    command.add_argument(
        "--strict", action="store_true", help="exit 2 where anything is unusual, not only if wrong"
    )
    command = add(
        "make-splits",
        splits_command,
        "Divide the patients into outer folds and validation parts, once.",
        "--config configs/demo.yaml --cohort results/demo/cohort --out results/demo/splits",
    )
    shared_options(command, "--cohort")
    path_option(command, "--out", "directory for the splits")


def simulate_command(given: argparse.Namespace) -> None:
    from survfuse.config.source import SimulatedClinicSource, SimulatedSource
    from survfuse.models.runnable import load

    source = load(given.config).source
    if given.new_patients and isinstance(source, SimulatedSource):
        from survfuse.simulation.new_patients import simulate_new_patients

        simulate_new_patients(source.seed, given.out, given.workers)
    elif given.new_patients:
        raise UserInputError(
            f"{given.config}: source.kind is not simulate; new patients are drawn of that one alone"
        )
    elif isinstance(source, SimulatedSource):
        from survfuse.simulation.cohort import simulate_cohort

        simulate_cohort(source.patients, source.seed, given.out, given.workers)
    elif isinstance(source, SimulatedClinicSource):
        from survfuse.simulation.brain_geometry import Grid
        from survfuse.simulation.brains import simulate_brains

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
    from survfuse.config.source import HancockSource, OasisSource, PorpoiseSource
    from survfuse.models.runnable import load
    from survfuse.published.hancock import import_hancock
    from survfuse.published.oasis import import_oasis
    from survfuse.published.porpoise import import_porpoise

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
    from survfuse.models.runnable import load

    config = load(given.config)  # before the imports that take seconds
    from survfuse.cli.check_run import check_run
    from survfuse.cohort.summary import write_cohort
    from survfuse.sheets.problems import note_table
    from survfuse.tasks.loading import task_of

    cohort = check_run(config)
    if cohort.notes and given.strict:
        raise UserInputError(f"{note_table(cohort.notes)}\nand --strict lets none pass")
    if given.out:
        write_cohort(cohort, config, given.out)
    if cohort.notes:
        log.warning("%s", note_table(cohort.notes))
    log.info("%s: no problems found", task_of(config).counted(cohort.outcomes))


def splits_command(given: argparse.Namespace) -> None:
    from survfuse.models.runnable import load
    from survfuse.splits.outer_folds import split_cohort

    split_cohort(given.cohort, load(given.config), given.out)
