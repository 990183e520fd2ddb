"""What reaches the terminal, `python -m survfuse`, and `survfuse run`."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from survfuse.cli.main import main
from survfuse.cli.terminal import logging_to
from survfuse.core.workflow_files import PROFILES
from survfuse.runner.start import ALWAYS
from workflow_fixture import prepared, stub_commands

NOISE = """
import logging, os, sys, warnings
from pathlib import Path
from survfuse.cli.terminal import logging_to
with logging_to(Path(sys.argv[1])):
    warnings.warn("The `srun` command is available on your system but is not used")
    logging.getLogger("timm").warning("a hint")
    os.write(2, b"TIFFReadDirectory: Warning, Unknown field\\n")
    print("100%|#####|", file=sys.stderr)
    logging.getLogger("survfuse.slides").info("for the log")
    logging.getLogger("survfuse.slides").warning("for people")
print("afterwards", file=sys.stderr)
"""


def test_noise_of_libraries_is_in_the_log_alone(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    done = subprocess.run(
        [sys.executable, "-c", NOISE, str(log)], capture_output=True, text=True, check=True
    )
    assert done.stderr == "survfuse: for people\nafterwards\n"
    written = log.read_text()
    for said in ("srun", "a hint", "TIFFReadDirectory", "100%", "for the log", "for people"):
        assert said in written


def test_without_a_log_people_see_what_survfuse_says(capsys: pytest.CaptureFixture) -> None:
    with logging_to(None):
        logging.getLogger("survfuse").info("counted")
        logging.getLogger("timm").error("noise")
    assert capsys.readouterr().err == "survfuse: counted\n"


def test_a_log_ends_with_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    log = tmp_path / "a.log"
    arguments = ["check-cohort", "--config", str(tmp_path / "none.yaml"), "--log", str(log)]
    assert main(arguments) == 2
    assert (
        log.read_text()
        .splitlines()[-1]
        .endswith("exit code 2: wrong input; the message names file, row and remedy")
    )
    assert "exit code" not in capsys.readouterr().err


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "survfuse", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("survfuse ")


FAILING = """#!/bin/sh
while [ "$1" != --log ]; do shift; done
echo "2026 INFO exit code 4: too many failed items" > "$2"
exit 4
"""


def test_run_names_its_jobs_and_returns_the_code_of_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_commands(tmp_path, monkeypatch)
    (tmp_path / "bin" / "survfuse").write_text(FAILING)
    home = prepared(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-m", "survfuse", "run", "--config", "config.yaml", "--cores", "1"],
        cwd=home,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert done.returncode == 4, done.stderr
    lines = done.stderr.splitlines()
    assert any(line.endswith("] simulate") for line in lines)
    assert lines[-1] == (
        "simulate failed with exit code 4 (too many failed items); its log: "
        "results/logs/simulate.log"
    )
    assert len(lines) < 8, done.stderr
    assert "Using" not in done.stderr  # Snakemake's line about its profiles


def test_run_has_the_options_that_every_run_has() -> None:
    options = yaml.safe_load((PROFILES / "default" / "config.yaml").read_text())
    assert options == {"rerun-incomplete": True, "logger": "survfuse"}
    assert ALWAYS == ["--workflow-profile", "none", "--logger", "survfuse", "--rerun-incomplete"]


def test_a_run_ends_with_the_place_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    home = prepared(tmp_path)
    monkeypatch.chdir(home)
    monkeypatch.setattr("snakemake.cli.main", lambda _: sys.exit(0))
    monkeypatch.setattr("survfuse.runner.start.LAST_FAILURES", [])
    report = Path("results/report/index.html")
    report.parent.mkdir(parents=True)
    report.write_text("<html>")
    assert main(["run", "--config", "config.yaml"]) == 0
    assert f"Report: {report}\n" in capsys.readouterr().err
    assert main(["run", "--config", "config.yaml", "-n"]) == 0
    assert "Report:" not in capsys.readouterr().err


def test_run_tells_what_is_wrong_with_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    home = prepared(tmp_path, slids={})
    assert main(["run", "--config", str(home / "config.yaml"), "-n"]) == 2
    assert "slids: unknown key" in capsys.readouterr().err
