"""The command line: one command per stage, and the only module that the workflow calls.

`commands` says which options each command has and what it does, `options` what they share.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from survfuse import __version__
from survfuse.cli.commands import (
    cohort,
    deployment,
    doctor,
    exchange,
    models,
    monitoring,
    preparation,
    reports,
    schema,
    serve,
    study,
)
from survfuse.cli.options import Command, shared_options
from survfuse.cli.terminal import logging_to
from survfuse.core.errors import SurvfuseError
from survfuse.core.exit_codes import told
from survfuse.core.system_errors import of_system

STAGES = (
    study,
    doctor,
    deployment,
    serve,
    exchange,
    monitoring,
    cohort,
    preparation,
    models,
    reports,
    schema,
)
WITHOUT_CONFIGURATION = (
    "init",
    "doctor",
    "schema",
    "compare",
    "prepare-new",
    "predict",
    "export",
    "monitor",
    "serve",
)

log = logging.getLogger("survfuse")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0 done, 2 wrong input, 3 missing device or weights, 4 too many failed items, 75 worth another
    try with more memory, time or disk, 1 a defect of survfuse.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII locale must not stop a sentence
            stream.reconfigure(errors="backslashreplace")
    parsed = parser().parse_args(arguments)
    os.umask(0o077)  # patient data: results are readable by their owner alone
    with ExitStack() as opened:
        code = attempt(parsed, opened)
        if code and parsed.log:
            log.info("%s", told(code))  # the last line of the log, which the workflow reads
    return code


def attempt(parsed: argparse.Namespace, opened: ExitStack) -> int:
    """Run one command, telling what goes wrong; returns the exit code."""
    try:
        opened.enter_context(logging_to(parsed.log))
        return parsed.command(parsed) or 0
    except SurvfuseError as error:
        log.error("%s", error)
        return error.exit_code
    except KeyboardInterrupt:
        log.error("interrupted; run the same command to continue")
        return 130
    except Exception as error:
        if system := of_system(error):
            log.error("%s", system)
            return system.exit_code
        log.exception("this is a defect of survfuse, not of your input; please report it")
        return 1


def parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    root = argparse.ArgumentParser(
        prog="survfuse",
        description="Multimodal survival models from slides, genes and clinical tables. "
        "`survfuse run` starts the workflow, which runs the other commands for you.",
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
        shared_options(command, "--log")
        command.set_defaults(command=function)
        if name not in WITHOUT_CONFIGURATION:
            shared_options(command, "--config")
        return command

    for stage in STAGES:
        stage.add_commands(add)
    return root


if __name__ == "__main__":
    sys.exit(main())
