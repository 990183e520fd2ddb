"""The command line: one command per stage, and the only module that the workflow calls.

`arguments` says which options each command has, `commands` what it does.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from survfuse import __version__
from survfuse.arguments import (
    Command,
    add_cohort_commands,
    add_model_commands,
    add_schema_command,
    add_stage_commands,
)
from survfuse.errors import SurvfuseError
from survfuse.system_errors import of_system

log = logging.getLogger("survfuse")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0 done, 2 wrong input, 3 missing device or weights, 4 too many failed items, 75 worth another
    try with more memory, time or disk, 1 a defect of survfuse.
    """
    parsed = parser().parse_args(arguments)
    os.umask(0o077)  # patient data: results are readable by their owner alone
    try:
        start_logging(parsed.log)
        parsed.command(parsed)
    except SurvfuseError as error:
        log.error("%s", error)
        return error.exit_code
    except KeyboardInterrupt:
        log.error("interrupted; run the same command to continue")
        return 130
    except Exception as error:
        if told := of_system(error):
            log.error("%s", told)
            return told.exit_code
        log.exception("this is a defect of survfuse, not of your input; please report it")
        return 1
    return 0


def start_logging(file: Path | None) -> None:
    """Everything to the log file if there is one, warnings and errors to the terminal."""
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("survfuse: %(message)s"))
    terminal.setLevel(logging.WARNING if file else logging.INFO)
    logging.basicConfig(level=logging.WARNING, handlers=[terminal], force=True)
    log.setLevel(logging.INFO)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        written = logging.FileHandler(file, mode="w", encoding="utf-8")
        written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logging.getLogger().addHandler(written)


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
    add_schema_command(add)
    return root


if __name__ == "__main__":
    sys.exit(main())
