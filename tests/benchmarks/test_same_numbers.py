"""The script that compares two runs finds what differs, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def results(folder: Path) -> Path:
    """A results folder of one model and three patients."""
    (folder / "evaluation").mkdir(parents=True)
    (folder / "predictions").mkdir()
    evaluation = {"rows": [{"model": "snn", "harrell_c": {"value": 0.75, "low": None}}], "n": 3}
    (folder / "evaluation/evaluation.json").write_text(json.dumps(evaluation))
    table = "patient_id\trisk\nA\t0.5\nB\t\nC\t1e3\n"
    (folder / "predictions/snn.tsv").write_text(table)
    return folder


def compared(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, ROOT / "benchmarks/same_numbers.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_run_agrees_with_its_copy(tmp_path: Path) -> None:
    before = results(tmp_path / "before")
    shutil.copytree(before, tmp_path / "after")
    figures = tmp_path / "figures.json"
    code, said = compared(before, tmp_path / "after", "--json", figures)
    assert code == 0 and "2 files, 0 differences" in said
    assert json.loads(figures.read_text()) == {"after_differences": 0, "after_largest": 0.0}


def test_every_difference_is_found(tmp_path: Path) -> None:
    before, after = results(tmp_path / "before"), results(tmp_path / "after")
    table = after / "predictions/snn.tsv"
    table.write_text(table.read_text().replace("1e3", "1000.0001"))
    code, said = compared(before, after)
    assert code == 1 and "risk[2]: 1000.0 -> 1000.0001" in said
    assert compared(before, after, "--tolerance", "1e-6")[0] == 0
    table.write_text(table.read_text().replace("0.5", ""))
    assert compared(before, after, "--tolerance", "1e-6")[0] == 1
    table.unlink()
    code, said = compared(before, after, "--tolerance", "1")
    assert code == 1 and "snn.tsv is missing" in said
    evaluation = after / "evaluation/evaluation.json"
    evaluation.write_text(evaluation.read_text().replace('"n"', '"patients"'))
    said = compared(before, after)[1]
    assert ".n (gone)" in said and ".patients (new)" in said
    assert ".n (gone)" not in compared(before, after, "--renamed", "n=patients")[1]


def test_words_may_be_passed_over_and_files_be_renamed(tmp_path: Path) -> None:
    before, after = results(tmp_path / "before"), results(tmp_path / "after")
    evaluation = after / "evaluation/evaluation.json"
    evaluation.write_text(evaluation.read_text().replace("snn", "the SNN"))
    (before / "predictions/snn.patterns.tsv").write_text("patient_id\tpattern\nA\tslides\n")
    (after / "predictions/snn.ablations.tsv").write_text("patient_id\tinputs\nA\tslides\n")
    new = ("--renamed", "patterns=ablations", "--renamed", "pattern=inputs")
    assert compared(before, after, *new)[0] == 1
    assert compared(before, after, *new, "--numbers-only")[0] == 0
    assert compared(before, after, "--numbers-only")[0] == 1
