"""The first step with a cohort of one's own, and the whole workflow."""

from __future__ import annotations

import argparse

from survfuse.cli.options import Adder, path_option, place
from survfuse.core.errors import UserInputError


def add_commands(add: Adder) -> None:
    """init and run."""
    command = add(
        "init",
        init_command,
        "Look at your sheets and write a configuration for them; without sheets, empty ones.",
        "my_cohort --patients patients.tsv --slides folder_of_slides --omics genes.csv",
    )
    command.add_argument("folder", metavar="DIR", type=place, help="folder to write to")
    path_option(command, "--patients", "patient sheet", required=False)
    path_option(command, "--slides", "slide sheet, or a folder of slides", required=False)
    path_option(command, "--omics", "gene matrix", required=False)
    path_option(command, "--images", "image sheet (MRI, PET)", required=False)
    command.add_argument("--time", metavar="COLUMN", help="follow-up time, where a guess fails")
    command.add_argument("--event", metavar="COLUMN", help="event, where a guess fails")
    command.add_argument("--event-value", metavar="VALUE", help="its value when observed")
    command.add_argument("--diagnosis", metavar="COLUMN", help="classes to predict instead")
    command.add_argument("--force", action="store_true", help="overwrite what is there")
    command = add(
        "run",
        run_command,
        "Run the whole workflow, from the sheets to the reports; again to continue.",
        "--config my_cohort.yaml --cores 8",
    )
    command.add_argument("--cores", help="CPU cores to use; default: all, or what the profile says")
    path_option(command, "--profile", "directory with settings of your site", required=False)
    command.add_argument(
        "-n", "--dry-run", action="store_true", help="only list what would be done"
    )
    command.add_argument(
        "extra", nargs="*", metavar="ARGUMENT", help="after --: further arguments for Snakemake"
    )


def init_command(given: argparse.Namespace) -> None:
    from survfuse.init.look import Named
    from survfuse.init.start import Asked, next_commands, start
    from survfuse.init.starting_folder import start_empty

    named = Named(given.time, given.event, given.event_value, given.diagnosis)
    others = (given.slides, given.omics, given.images)
    if given.patients is None:
        if any(others) or named != Named():
            raise UserInputError("init: name the patient sheet as well: --patients FILE")
        print("Wrote:", *start_empty(given.folder, given.force), sep="\n  ")
        print(f"\nNext: fill the sheets, then config.yaml; from the folder {given.folder} run")
        print("  survfuse check-cohort --config config.yaml\n  survfuse run --config config.yaml")
        return
    told = start(Asked(given.folder, given.patients, *others, named, given.force))
    for title, sentences in (("Decided", told.decided), ("Check before the run", told.check)):
        print(f"{title}:" if sentences else "", *sentences, sep="\n  ")
    print("\nNext, once the lines marked CHECK in the configuration are right:")
    for command in next_commands(given.folder):
        print(f"  {command}")


def run_command(given: argparse.Namespace) -> int:
    from survfuse.deployment.run import report_of
    from survfuse.runner.start import run_workflow

    report = report_of(given.config)  # tells what is wrong in our words
    return run_workflow(
        given.config, report, given.cores, given.profile, given.dry_run, given.extra
    )
