"""A configuration as text: short, commented, and quoted where YAML asks for it."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from survfuse.init.columns import Variable
from survfuse.init.leaderboard import Row

PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
RESERVED = {"yes", "no", "true", "false", "on", "off", "null", "y", "n"}
WIDTH = 100


def word(value: str | Path) -> str:
    """A text as YAML writes it, in quotes unless it is plain beyond doubt."""
    text = str(value)
    plain = PLAIN.fullmatch(text) and text.lower() not in RESERVED
    return text if plain else json.dumps(text, ensure_ascii=False)


def words(values: Iterable[str | Path]) -> str:
    """A list of texts in a line."""
    return f"[{', '.join(word(value) for value in values)}]"


def numbers(values: Iterable[float]) -> str:
    """A list of numbers in a line."""
    return f"[{', '.join(f'{value:g}' for value in values)}]"


def comment(text: str, indent: int = 0) -> list[str]:
    """A comment, wrapped."""
    start = " " * indent + "# "
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return textwrap.wrap(shown, WIDTH, initial_indent=start, subsequent_indent=start)


def covariate_line(variable: Variable) -> str:
    """A declared covariate."""
    levels = f", levels: {words(variable.levels)}" if variable.levels else ""
    advice = f"  # or {variable.advice}" if variable.advice else ""
    return f"    {word(variable.name)}: {{type: {variable.kind}{levels}}}{advice}"


def covariate_lines(variables: Sequence[Variable]) -> list[str]:
    """The section of the covariates, with those left out and why."""
    declared = [variable for variable in variables if not variable.reason]
    lines = ["  covariates:" if declared else "  covariates: {}"]
    lines += [covariate_line(variable) for variable in declared]
    left_out = [variable for variable in variables if variable.reason]
    if left_out:
        lines += comment("Left out; declare what is known when the prediction is made:", 4)
    for variable in left_out:
        line = f"{word(variable.name)}: {variable.reason}"
        if variable.kind:
            line = f"{covariate_line(variable).strip()} - {variable.reason}"
        lines += comment(line, 4)
    return lines


def row_line(row: Row) -> str:
    """A row of the leaderboard."""
    options = f", options: {{{row.options}}}" if row.options else ""
    permuted = ", permute_outcomes: true" if row.permuted else ""
    why = f"  # {row.why}" if row.why else ""
    return f"  - {{name: {row.name}, kind: {row.kind}{options}{permuted}}}{why}"
