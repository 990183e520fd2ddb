"""The folder of a run: what was sent, how far it is, and what is kept of it.

A run is a folder of the output directory under a name that nobody can guess, which is the only key
to it. While it is worked on it holds what was sent; afterwards what was predicted and nothing else.
"""

from __future__ import annotations

import fcntl
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_object, write_json

NAME = re.compile("[0-9a-f]{32}")
CHECKING, CHECKED, PREDICTING = "checking", "checked", "predicting"  # while it goes on
REFUSED, FAILED, DONE = "refused", "failed", "done"  # when it has ended
KEPT = (
    "predictions",
    "reports",
    "documents",
    "patient_sheets",
)  # folders of what `predict_new` writes
UNFINISHED_S = 3600.0  # after which what was sent and not predicted is removed


@dataclass(frozen=True)
class Run:
    """A run by its folder; see `NewPatientsFolder` for what it holds once it is done."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def state(self) -> Path:
        """How far it is, as JSON: `state`, and what belongs to it."""
        return self.root / "run.json"

    @property
    def sent(self) -> Path:
        """What was sent; removed when the run has ended."""
        return self.root / "sent"

    @property
    def working(self) -> NewPatientsFolder:
        """What the work on it writes; removed likewise, but for what is kept."""
        return NewPatientsFolder(self.root / "working")

    @property
    def results(self) -> NewPatientsFolder:
        """What is kept."""
        return NewPatientsFolder(self.root)

    def read(self) -> dict[str, Any]:
        """How far it is."""
        return read_object(self.state)

    def write(self, state: str, **values: Any) -> None:
        """Say how far it is."""
        write_json(self.state, {"state": state, **values})

    def update(self, state: str, **values: Any) -> None:
        """Say how far it is, and keep what was said before."""
        self.write(**{**self.read(), **values, "state": state})

    def end(self, outcome: Mapping[str, Any]) -> None:
        """Keep what was predicted and how it ended, and remove what was sent."""
        for name in KEPT if outcome["state"] == DONE else ():
            made = self.working.root / name
            if made.is_dir():
                made.rename(self.root / name)
        for folder in (self.working.root, self.sent):
            shutil.rmtree(folder, ignore_errors=True)
        self.write(**outcome)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.root, ignore_errors=True)


def new_run(out: Path) -> Run:
    """A run of its own, readable by its owner alone."""
    run = Run(out / secrets.token_hex(16))
    run.root.mkdir(mode=0o700)
    run.sent.mkdir(mode=0o700)
    return run


def find_run(out: Path, name: str) -> Run | None:
    """The run of a name that came with a request; None where there is none."""
    run = Run(out / name)
    return run if NAME.fullmatch(name) and run.state.is_file() else None


def runs_in(out: Path) -> Iterator[Run]:
    """All runs, also those that have no state yet."""
    for folder in out.iterdir():
        if NAME.fullmatch(folder.name) and folder.is_dir():
            yield Run(folder)


def remove_unfinished(
    out: Path, older_than_s: float = 0.0, busy: frozenset[str] = frozenset()
) -> None:
    """Remove runs that have ended without a prediction or were left; `busy`: names to leave."""
    for run in runs_in(out):
        try:
            state = run.read()["state"] if run.state.is_file() else ""
            touched = run.state if state else run.root
            old = time.time() - touched.stat().st_mtime >= older_than_s
        except (OSError, UserInputError):  # removed meanwhile, or half written by hand
            continue
        if old and state != DONE and run.name not in busy:
            run.remove()


@contextmanager
def own_folder(out: Path) -> Iterator[None]:
    """The output directory for one server alone. Raises UserInputError where another has it."""
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserInputError(
                f"{out}: another survfuse serve uses this folder; name another one"
            ) from None
        yield
