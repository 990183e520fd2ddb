"""Starting the workflow for people who do not want to know Snakemake: `survfuse run`."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from survfuse.core.errors import UserInputError
from survfuse.core.exit_codes import worst
from survfuse.core.workflow_files import SNAKEFILE
from survfuse.runner.progress import LAST_FAILURES

# What profiles/default/config.yaml says, without Snakemake's line about that file on the terminal.
ALWAYS = ["--workflow-profile", "none", "--logger", "survfuse", "--rerun-incomplete"]


def run_workflow(
    config: Path,
    report: Path,
    cores: str | None = None,
    profile: Path | None = None,
    dry: bool = False,
    extra: Sequence[str] = (),
) -> int:
    """Run everything that a configuration asks for; returns the exit code of the worst stage.

    1 where the workflow stopped by itself. `report`: the page that is there in the end. `extra`:
    further arguments for Snakemake. Raises UserInputError where there is no home directory.
    """
    from snakemake.cli import main

    require_user()
    given = ["--snakefile", str(SNAKEFILE), "--configfile", str(config)]
    given += ALWAYS
    given += ["--profile", str(profile)] if profile else []
    if cores or not profile:
        given += ["--cores", cores or "all"]
    given += ["--dry-run"] if dry else []
    try:
        main([*given, *extra])
    except SystemExit as stopped:
        if LAST_FAILURES:
            return worst(failure.code for failure in LAST_FAILURES)
        if stopped.code:
            return 1
    # Further arguments may ask Snakemake for something else than a run to the end.
    if not dry and not extra and report.is_file():
        print(f"Report: {report}", file=sys.stderr)
    return 0


def require_user() -> None:
    """Name the user to Snakemake and PyTorch where the system does not.

    So it is in containers that run as a number that no user has. Raises UserInputError where there
    is no home directory either, without which Snakemake ends without a word.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"uid{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        raise UserInputError(
            "this user has no home directory, where Snakemake looks for settings; name one that "
            "you may write first: export HOME=/tmp/me"
        ) from None
