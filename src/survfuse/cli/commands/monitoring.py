"""Watching a package after it left the study."""

from __future__ import annotations

import argparse
import logging

from survfuse.cli.options import Adder, path_option

log = logging.getLogger("survfuse")


def add_commands(add: Adder) -> None:
    """monitor."""
    command = add(
        "monitor",
        monitor_command,
        "Compare periods of new patients with the study of their package.",
        "--package packages/demo --periods results/2026-01 results/2026-02 --out results/watched",
    )
    path_option(command, "--package", "folder that survfuse package wrote")
    command.add_argument(
        "--periods",
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders that survfuse predict wrote, one for each period, in their order",
    )
    path_option(
        command,
        "--followed-up",
        "sheet with patient_id and the outcome columns of the study, as far as known",
        required=False,
    )
    path_option(command, "--out", "folder for the page, the record and the table")
    command.add_argument(
        "--looks", type=int, default=12, help="periods that are planned in all (default: 12)"
    )
    command.add_argument(
        "--level",
        type=float,
        default=0.05,
        help="probability of any false alarm in all of them (default: 0.05)",
    )
    command.add_argument(
        "--fail-on-alarm", action="store_true", help="exit with code 4 if there is an alarm"
    )


def monitor_command(given: argparse.Namespace) -> None:
    from pathlib import Path

    from survfuse.artifacts.package import open_package
    from survfuse.core.errors import TooManyFailuresError
    from survfuse.deployment.monitor import monitor

    package, periods = open_package(given.package), [Path(path) for path in given.periods]
    found = monitor(package, periods, given.out, given.followed_up, given.level, given.looks)
    alarms = [
        f"{period['name']}: {one['kind']} of {one['name']}"
        for period in found["periods"]
        for one in period["comparisons"]
        if one["alarm"]
    ]
    log.info("%s: %d alarms in %d periods", given.out, len(alarms), len(periods))
    if alarms and given.fail_on_alarm:
        raise TooManyFailuresError(f"{len(alarms)} alarms: {'; '.join(alarms)}")
