"""What reaches the terminal of a command, and what goes into its log."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

STDERR = 2


@contextmanager
def logging_to(file: Path | None) -> Iterator[None]:
    """Everything to the log file if there is one, our own warnings and errors to the terminal.

    Warnings, hints and progress bars of libraries, also of those in C, are for the log alone.
    Raises OSError where the file cannot be written.
    """
    root, ours = logging.getLogger(), logging.getLogger("survfuse")
    show(root, sys.stderr, logging.INFO)
    ours.setLevel(logging.INFO)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    content = file.open("w", encoding="utf-8", errors="backslashreplace")
    written = logging.StreamHandler(content)
    written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.captureWarnings(True)
    try:
        with stderr_in(content) as terminal:
            show(root, terminal, logging.WARNING)
            root.addHandler(written)
            yield
    finally:
        logging.captureWarnings(False)
        show(root, sys.stderr, logging.WARNING)
        content.close()


def show(root: logging.Logger, terminal: TextIO, level: int) -> None:
    """Make the terminal, for records of survfuse, the only handler."""
    shown = logging.StreamHandler(terminal)
    shown.setFormatter(logging.Formatter("survfuse: %(message)s"))
    shown.setLevel(level)
    shown.addFilter(logging.Filter("survfuse"))
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(shown)
    root.setLevel(logging.WARNING)


@contextmanager
def stderr_in(log: TextIO) -> Iterator[TextIO]:
    """Send what any library writes to standard error into the log; yields the terminal."""
    try:
        redirectable = sys.stderr.fileno() == STDERR
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        redirectable = False
    if not redirectable:  # something else collects it
        yield sys.stderr
        return
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        os.dup2(log.fileno(), STDERR)
        with os.fdopen(os.dup(kept), "w", encoding="utf-8", errors="backslashreplace") as terminal:
            yield terminal
    finally:
        sys.stderr.flush()
        os.dup2(kept, STDERR)
        os.close(kept)
