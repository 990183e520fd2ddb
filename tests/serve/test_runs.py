"""Folders of runs: who finds them, what is kept, what is removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from survfuse.core.errors import UserInputError
from survfuse.serve.runs import Run, find_run, new_run, own_folder, remove_unfinished


def test_a_run_is_found_by_its_name_alone(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    assert find_run(tmp_path, run.name) is None  # nothing is known of it yet
    run.write("checking")
    assert find_run(tmp_path, run.name) == run
    (tmp_path / "other").mkdir()
    Run(tmp_path / "other").write("done")
    for name in ("other", "", ".", "..", run.name.upper(), f"{run.name}/", f"{run.name}\n"):
        assert find_run(tmp_path, name) is None, name
    assert {path.stat().st_mode & 0o777 for path in (run.root, run.sent)} == {0o700}


def test_names_of_runs_cannot_be_guessed(tmp_path: Path) -> None:
    names = [new_run(tmp_path).name for _ in range(50)]
    assert len(set(names)) == 50 and {len(name) for name in names} == {32}
    assert len({name[:8] for name in names}) == 50 and len({name[-8:] for name in names}) == 50


def test_what_was_sent_is_removed_when_a_run_ends(tmp_path: Path) -> None:
    for state, kept in (("done", {"run.json", "reports"}), ("refused", {"run.json"})):
        run = new_run(tmp_path)
        run.write("predicting", sheets={})
        (run.sent / "patients.tsv").write_text("patient_id\nP1\n")
        for folder in ("reports", "cohort", "omics"):
            (run.working.root / folder).mkdir(parents=True)
        run.end({"state": state})
        assert {path.name for path in run.root.iterdir()} == kept
        assert run.read() == {"state": state}


def test_only_what_was_predicted_or_is_worked_on_outlives_an_hour(tmp_path: Path) -> None:
    runs = {name: new_run(tmp_path) for name in ("done", "checked", "new", "busy", "nothing")}
    for name in ("done", "checked", "busy", "new"):
        runs[name].write("done" if name == "done" else "checked")
    long_ago = time.time() - 4000
    for name, run in runs.items():
        if name != "new":
            os.utime(run.state if run.state.exists() else run.root, (long_ago, long_ago))
    (tmp_path / "mine").mkdir()
    remove_unfinished(tmp_path, 3600, frozenset({runs["busy"].name}))
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"mine", *(runs[name].name for name in ("done", "new", "busy"))}
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine", runs["done"].name}


def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        own_folder(tmp_path / "out"),
        pytest.raises(UserInputError, match="another survfuse serve uses this folder"),
        own_folder(tmp_path / "out"),
    ):
        pass
    with own_folder(tmp_path / "out"):
        assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
