"""What a running workflow tells on the terminal: what starts, how far it is, what failed.

Knows nothing of Snakemake: its logger plugin (snakemake_logger_plugin_survfuse) hands over what
happens and prints the lines that come back.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from survfuse.core.exit_codes import INTERRUPTED, KILLED, MEANINGS, code_in_log, worst

STAGES = {
    "simulate": "draw the simulated cohort",
    "import_cohort": "turn published tables into sample sheets",
    "check_cohort": "check the sheets, separate outcomes from inputs",
    "make_splits": "divide the patients into folds",
    "process_slides": "find tissue, cut and embed tiles, a batch of slides per job",
    "merge_slides": "list the status of all slides",
    "prepare_images": "register and scale brain volumes, a batch of patients per job",
    "merge_images": "list the status of all volumes",
    "encode_omics": "pack gene expression by gene set",
    "synthesise": "make the volumes that patients lack, a fold per job",
    "train": "fit a network on one fold",
    "train_rows": "fit a row of the leaderboard on all its folds",
    "predict": "predict every patient out-of-fold, a model per job",
    "explain": "say what moved the estimates of the reported model",
    "map_volumes": "say what in the volumes moved the diagnoses",
    "list_inputs": "list who has which modality",
    "evaluate": "score all models side by side",
    "report": "write the cohort report and the patient pages",
    "prepare_new": "prepare slides or volumes of new patients, a batch per job",
    "predict_new": "predict new patients with the models of a package",
    "all": "everything that was asked for",
}
JOBS_BEFORE_ESTIMATE = 5
SHORTEST_ESTIMATE_S = 30


@dataclass(frozen=True)
class Job:
    """A job as a reader knows it."""

    stage: str
    wildcards: tuple[tuple[str, str], ...] = ()
    log: Path | None = None

    def __str__(self) -> str:
        named = ", ".join(f"{name} {value}" for name, value in self.wildcards)
        return f"{self.stage}: {named}" if named else self.stage


@dataclass(frozen=True)
class Failure:
    """A job that failed, with its exit code."""

    job: Job
    code: int

    def __str__(self) -> str:
        where = f"; its log: {self.job.log}" if self.job.log else ""
        meaning = MEANINGS.get(self.code, "unknown")
        return f"{self.job} failed with exit code {self.code} ({meaning}){where}"


LAST_FAILURES: list[Failure] = []  # of the last run in this process, for its exit code


@dataclass
class Progress:
    """The state of a run. `clock` gives seconds."""

    clock: Callable[[], float] = time.monotonic
    planned: dict[str, int] = field(default_factory=dict)  # jobs per stage
    jobs: dict[int, Job] = field(default_factory=dict)  # by Snakemake's number
    began: dict[int, float] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[int, Failure] = field(default_factory=dict)
    interrupted: bool = False  # by Ctrl-C, so that jobs that end now did not fail

    @property
    def total(self) -> int:
        """Jobs of the run; what only gathers results is none."""
        return sum(count for stage, count in self.planned.items() if stage_of(stage) != "all")

    def start(self, number: int, job: Job) -> str:
        """The line of a job that starts; "" for what only gathers results."""
        if stage_of(job.stage) == "all":
            return ""
        again = number in self.jobs
        self.jobs[number], self.began[number] = job, self.clock()
        width = len(str(self.total))
        counted = f"[{len(self.jobs):{width}} of {self.total}] {job}"
        if again:
            counted += " (once more)"
        left = self.seconds_left()
        return f"{counted} (about {words(left)} left)" if left >= SHORTEST_ESTIMATE_S else counted

    def finish(self, number: int) -> None:
        """A job is done, maybe at a second attempt."""
        job = self.jobs.get(number)
        if job is not None:
            self.took[job.stage].append(self.clock() - self.began[number])
            self.failed.pop(number, None)

    def fail(self, number: int, job: Job) -> Failure:
        """A job failed; its log has its exit code, unless it was killed."""
        job = self.jobs.get(number, job)
        code = code_in_log(job.log) if job.log else None
        if self.interrupted:
            code = INTERRUPTED
        self.failed[number] = Failure(job, KILLED if code is None else code)
        return self.failed[number]

    def seconds_left(self) -> float:
        """Estimate from the jobs that are done; 0 before there are enough of them."""
        done = [seconds for stage in self.took.values() for seconds in stage]
        if len(done) < JOBS_BEFORE_ESTIMATE:
            return 0.0
        usual = sum(done) / len(done)
        waiting = 0.0
        for stage, count in self.planned.items():
            if stage_of(stage) != "all":
                known = self.took.get(stage, [])
                mean = sum(known) / len(known) if known else usual
                waiting += max(0, count - len(known)) * mean
        elapsed = self.clock() - min(self.began.values())
        at_once = max(1.0, sum(done) / elapsed) if elapsed > 0 else 1.0
        return waiting / at_once

    def end(self) -> str:
        """The last line: the worst failure, or how long it took; "" where nothing ran."""
        done = sum(len(seconds) for seconds in self.took.values())
        if self.interrupted:
            return f"{done} of {self.total} jobs done, then {MEANINGS[INTERRUPTED]}"
        if self.failed:
            code = worst(failure.code for failure in self.failed.values())
            first = next(failure for failure in self.failed.values() if failure.code == code)
            others = len(self.failed) - 1
            return f"{first}" + (f"; {others} more failed" if others else "")
        if not self.began:
            return ""
        return f"{done} jobs done in {words(self.clock() - min(self.began.values()))}"


def of_lock(message: str) -> str | None:
    """What to tell in place of Snakemake's message on a directory that is locked; None for others.

    That one names `--unlock` alone, which `survfuse run` takes after `--`.
    """
    if "Directory cannot be locked" not in message:
        return None
    place = next((line for line in message.splitlines() if line.startswith("/")), "this directory")
    return (
        f"{place} is in use by another run, or was left locked by one that was killed: wait for "
        "the other, or, if there is none, end the same command with `-- --unlock` once (plain "
        "snakemake: `--unlock`) and run it again"
    )


def stage_of(rule: str) -> str:
    """The stage that a rule is; in a module of another workflow its name has a prefix."""
    fitting = [stage for stage in STAGES if rule == stage or rule.endswith(f"_{stage}")]
    return max(fitting, key=len, default=rule)


def words(seconds: float) -> str:
    """A duration in minutes or hours, for people."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def plan_table(planned: Mapping[str, int]) -> str:
    """What a dry run found to do: stage, number of jobs, what for; and how many a run counts."""
    jobs = {name: count for name, count in planned.items() if stage_of(name) != "all"}
    rows = [(name, str(count), STAGES.get(stage_of(name), "")) for name, count in jobs.items()]
    rows.append(("total", str(sum(jobs.values())), ""))
    return table(("stage", "jobs", "what for"), rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, two spaces apart."""
    widths = Counter[int]()
    for row in (header, *rows):
        for column, cell in enumerate(row):
            widths[column] = max(widths[column], len(cell))
    lined = [[*header], ["-" * widths[column] for column in range(len(header))], *rows]
    return "\n".join(
        "  ".join(cell.ljust(widths[column]) for column, cell in enumerate(row)).rstrip()
        for row in lined
    )
