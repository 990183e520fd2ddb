"""Options that several commands share, each declared once, and how their values are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from survfuse.core.user_paths import expand_home

Command = Callable[[argparse.Namespace], int | None]  # None and 0: done
# Adds a command: its name, function, purpose and example.
Adder = Callable[[str, Command, str, str], argparse.ArgumentParser]


def place(text: str) -> Path:
    """A path, with the home directory for a `~` that the shell has left (`--out=~/results`)."""
    try:
        return Path(expand_home(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the path {error}") from None


def count(text: str) -> int:
    """A number of things, of which there must be one at least."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def named_place(text: str) -> tuple[str, Path]:
    """A name and a path, as NAME=PATH."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, place(path)


def path_option(
    command: argparse.ArgumentParser, name: str, purpose: str, required: bool = True
) -> None:
    """Add an option that takes a path."""
    command.add_argument(name, type=place, required=required, help=purpose)


BATCH = ("--batch", "--batches", "--manifest", "--threads")
# What is known of patients, outcomes excepted.
PATIENTS = ("--splits", "--clinical", "--input", "--synthesis")
# What fits or runs a model; none of it leads to a test outcome.
MODEL = ("--model", "--folds", *PATIENTS, "--models", "--device")

SHARED: dict[str, dict[str, Any]] = {
    "--config": {"type": place, "required": True, "help": "configuration (YAML)"},
    "--log": {"type": place, "help": "write a full log to this file"},
    "--cohort": {"type": place, "required": True, "help": "directory that check-cohort wrote"},
    "--batch": {"type": int, "required": True, "help": "number of the batch, from 0"},
    "--batches": {"type": count, "required": True, "help": "how many batches there are"},
    "--manifest": {
        "type": place,
        "required": True,
        "help": "table to write, with the status of everything in the batch",
    },
    "--threads": {
        "type": count,
        "default": 1,
        "help": "slides, or visits of patients, worked on at a time",
    },
    "--device": {
        "choices": ["auto", "cpu", "cuda"],
        "default": "auto",
        "help": "where to compute; auto: on a GPU if there is one",
    },
    "--model": {"required": True, "help": "name of the model row"},
    "--models": {"type": place, "required": True, "help": "directory of fitted models"},
    "--folds": {
        "type": place,
        "nargs": "+",
        "required": True,
        "metavar": "DIR",
        "help": "directories of the folds, of one or several",
    },
    "--splits": {
        "type": place,
        "required": True,
        "help": "splits.tsv (patients and folds, no outcomes)",
    },
    "--clinical": {
        "type": place,
        "required": True,
        "help": "clinical.tsv (covariates, no outcomes)",
    },
    "--input": {
        "type": named_place,
        "action": "append",
        "default": [],
        "metavar": "NAME=PATH",
        "help": "file that models read, by the name of its sheet in the section cohort, such as "
        "slides=results/demo/slides/slides.tsv; may be repeated",
    },
    "--synthesis": {"type": place, "help": "directory of synthesised volumes"},
}


def shared_options(command: argparse.ArgumentParser, *names: str) -> None:
    """Add options of SHARED."""
    for name in names:
        command.add_argument(name, **SHARED[name])
