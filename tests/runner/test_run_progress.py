"""What a run tells: lines of jobs, the time left, failures with their exit codes."""

from pathlib import Path

import pytest

from survfuse.core.exit_codes import MEANINGS, code_in_log, told, worst
from survfuse.runner.progress import STAGES, Job, Progress, of_lock, plan_table, stage_of
from workflow_fixture import ROOT


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def train(fold: int, log: Path | None = None) -> Job:
    return Job("train", (("model", "cmta"), ("fold", f"r0f{fold}")), log)


def test_lines_name_the_job_its_number_and_the_time_left() -> None:
    clock = Clock()
    progress = Progress(clock, {"train": 20, "all": 1})
    assert progress.start(1, train(0)) == "[ 1 of 20] train: model cmta, fold r0f0"
    for number in range(1, 11):  # one after the other, a minute each
        progress.start(number, train(number))
        clock.now += 60
        progress.finish(number)
    line = progress.start(11, train(11))
    assert line == "[11 of 20] train: model cmta, fold r0f11 (about 10 min left)"
    assert progress.start(99, Job("all")) == ""


def test_jobs_that_run_side_by_side_take_less_time() -> None:
    clock = Clock()
    progress = Progress(clock, {"train": 40})
    for first in range(0, 20, 4):
        for number in range(first, first + 4):
            progress.start(number, train(number))
        clock.now += 120
        for number in range(first, first + 4):
            progress.finish(number)
    assert progress.seconds_left() == pytest.approx(20 * 120 / 4)


def test_the_last_line_is_the_worst_failure(tmp_path: Path) -> None:
    progress = Progress(Clock(), {"train": 3})
    for number, code in enumerate((75, 2)):
        log = tmp_path / f"{number}.log"
        log.write_text(f"2026 ERROR sentence\n2026 INFO {told(code)}\n")
        progress.start(number, train(number, log))
        progress.fail(number, train(number, log))
    assert progress.end() == (
        "train: model cmta, fold r0f1 failed with exit code 2 (wrong input; the message names "
        f"file, row and remedy); its log: {tmp_path / '1.log'}; 1 more failed"
    )
    progress.finish(1)  # at a second attempt
    assert "exit code 75" in progress.end()
    progress.finish(0)
    assert "failed" not in progress.end()


def test_a_job_that_ends_without_a_word_counts_as_killed(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("exit code 2: of long ago\nbut then it went on\n")
    assert code_in_log(log) is None
    assert code_in_log(tmp_path / "none.log") is None
    assert Progress(Clock()).fail(1, train(0, log)).code == 75


def test_the_worst_code_is_what_nobody_can_mend_by_running_again() -> None:
    assert [worst(codes) for codes in ([75, 4, 3], [2, 3], [2, 1], [75], [2, 139])] == [
        *(3, 2, 1, 75, 139)
    ]
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    assert all(f"\n| {code} |" in page for code in MEANINGS)


def test_every_rule_has_a_purpose_also_in_a_module() -> None:
    import re

    text = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert set(re.findall(r"^ *rule (\w+):$", text, re.M)) | {"all"} == set(STAGES)
    assert stage_of("survival_merge_slides") == "merge_slides"
    assert stage_of("align_reads") == "align_reads"


def test_a_dry_run_ends_in_a_table() -> None:
    assert plan_table({"x_train": 6, "report": 1, "x_all": 1}).splitlines() == [
        "stage    jobs  what for",
        "-------  ----  ---------------------------------------------",
        "x_train  6     fit a network on one fold",
        "report   1     write the cohort report and the patient pages",
        "total    7",
    ]


def test_a_locked_directory_is_told_with_what_to_do() -> None:
    """Snakemake: "Directory cannot be locked", of two runs at once or after a killed one."""
    said = (
        "LockException:\nError: Directory cannot be locked. Please make sure that no other "
        "Snakemake process is trying to create the same files in the following directory:\n"
        "/data/my study\nIf you are sure that no other instances of snakemake are running"
    )
    line = of_lock(said)
    assert line is not None and line.startswith("/data/my study is in use by another run")
    assert "`-- --unlock`" in line
    assert of_lock("Building DAG of jobs...") is None


def test_ctrl_c_is_no_failure() -> None:
    progress = Progress(planned={"train": 3, "all": 1})
    for number in (1, 2):
        progress.start(number, Job("train"))
    progress.finish(1)
    progress.interrupted = True
    assert progress.fail(2, Job("train")).code == 130  # also where it had no time to leave a log
    assert progress.end() == (
        "1 of 3 jobs done, then interrupted; run the same command again to go on"
    )
