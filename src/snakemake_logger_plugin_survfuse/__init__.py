"""Snakemake's logger plugin `survfuse`: a line per job instead of a page, and a readable dry run.

The profile `workflow/profiles/default` names it. With `-p` or `--verbose` Snakemake's own lines are
shown as well. The complete log of a run is in `.snakemake/log` whatever is shown.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from snakemake.logging import DefaultFilter, DefaultFormatter, show_logs
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from survfuse.runner.progress import LAST_FAILURES, Job, Progress, of_lock, plan_table

# What Snakemake says in between that nobody has to read.
CHATTER = (
    "Assuming unrestricted shared",
    "Building DAG",
    "Using shell",
    "Provided ",
    "Rules claiming",
    "Job stats",
    "Select jobs",
    "Execute ",
    "Singularity containers",
    "Config file ",
    "Complete log",
    "Elapsed time",
    "Removing output files of failed job",
    "Exiting because a job execution failed",
    "Shutting down",
    "Trying to restart",
    "Reasons:",
    "This was a dry-run",
    "Some jobs were triggered by provenance",  # which points at displays that are not shown
    "Rules with provenance triggered jobs",
    "At least one job did not complete",
    "WorkflowError:\nAt least one job did not complete",
)
CTRL_C = "Terminating processes on user request"
EXIT_STATUS = "returned non-zero exit status"


class LogHandler(LogHandlerBase):
    """Prints what `survfuse.runner.progress` makes of Snakemake's events."""

    def __post_init__(self) -> None:
        shown = self.common_settings
        self.progress, self.closed_once = Progress(), False
        self.stream = sys.stdout if shown.stdout else sys.stderr
        quiet = shown.quiet or ()
        self.silent = any(str(getattr(one, "name", one)).lower() == "all" for one in quiet)
        self.everything = shown.verbose or shown.debug_dag or shown.printshellcmds
        self.plain = DefaultFormatter(quiet, shown.show_failed_logs)
        self.chosen = DefaultFilter(
            quiet, shown.debug_dag, shown.verbose, shown.dryrun, shown.printshellcmds
        )
        LAST_FAILURES.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line of an event, if it has one."""
        try:
            line = self.line_of(record)
            if self.everything:
                line = self.plain.format(record) if self.chosen.filter(record) else ""
            if line and line != "None" and not (self.silent and record.levelno < logging.ERROR):
                self.stream.write(f"{line}\n")
                self.stream.flush()
        except Exception:
            self.handleError(record)

    def line_of(self, record: logging.LogRecord) -> str:
        """What to tell of an event; "" for nothing."""
        told: dict[str, Any] = record.__dict__
        event = told.get("event")
        if event == LogEvent.RUN_INFO:
            stats = told["stats"]
            self.progress.planned = {name: n for name, n in stats.items() if name != "total"}
            jobs = self.progress.total
            return "" if self.common_settings.dryrun else f"{jobs} job{'s' * (jobs != 1)} to do"
        if event == LogEvent.JOB_INFO:
            line = self.progress.start(told["jobid"], job_of(told))
            return "" if self.common_settings.dryrun else line
        if event == LogEvent.JOB_FINISHED:
            self.progress.finish(told["job_id"])
            return ""
        if event == LogEvent.JOB_ERROR:
            failure = str(self.progress.fail(told["jobid"], job_of(told)))
            if self.progress.interrupted:
                return ""
            logs = told["log"] if self.common_settings.show_failed_logs else []
            return "\n".join([*show_logs(logs), failure])
        if event is not None and event != LogEvent.ERROR:
            return ""
        message = record.getMessage()
        if locked := of_lock(message):
            return locked
        if message.startswith(CTRL_C):
            self.progress.interrupted = True
            return ""
        if message.startswith(CHATTER) or EXIT_STATUS in message:
            return ""
        return message if record.levelno >= logging.INFO else ""

    def close(self) -> None:
        """Print the table of a dry run, or the last line of a run."""
        if not self.closed_once:
            self.closed_once = True
            LAST_FAILURES.extend(self.progress.failed.values())
            last = self.progress.end()
            if self.common_settings.dryrun:
                planned = self.progress.planned
                last = plan_table(planned) if planned else ""
            if last and (LAST_FAILURES or not self.silent):
                self.stream.write(f"{last}\n")
                self.stream.flush()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False


def job_of(told: dict[str, Any]) -> Job:
    """The job of an event."""
    logs = told.get("log") or []
    wildcards = told.get("wildcards") or {}
    named = tuple((name, str(value)) for name, value in wildcards.items())
    return Job(told["rule_name"], named, Path(logs[0]) if logs else None)
