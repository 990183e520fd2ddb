"""What the exit codes of the stages mean, which is the worst, and how a log tells one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# The worst first: what nobody can mend by running again stands before what may pass by itself.
MEANINGS = {
    1: "a defect of survfuse; please report the log",
    2: "wrong input; the message names file, row and remedy",
    3: "missing device or weights",
    4: "too many failed items",
    75: "memory, time or the disk ran out, or it was asked to stop; run the same command again",
    130: "interrupted; run the same command again to go on",
}
INTERRUPTED = 130  # by Ctrl-C
KILLED = 75  # what a job that ends without a word counts as: most often it was out of memory
TOLD = re.compile(r"exit code (\d+): ")
TAIL_BYTES = 4096


def told(code: int) -> str:
    """The last line of a log: the exit code and what it means."""
    return f"exit code {code}: {MEANINGS.get(code, 'unknown')}"


def code_in_log(path: Path) -> int | None:
    """The exit code that a stage left at the end of its log; None where it left none."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = handle.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = TOLD.search(lines[-1]) if lines else None
    return int(found[1]) if found else None


def worst(codes: Iterable[int]) -> int:
    """The code that needs most attention. Codes that no stage gives count as defects."""
    order = list(MEANINGS)
    return min(codes, key=lambda code: order.index(code) if code in order else 0)
