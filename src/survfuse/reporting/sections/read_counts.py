"""Of how many patients a row of the leaderboard had anything to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from survfuse.artifacts.evaluation import Evaluation
from survfuse.reporting.disclosure import of_all
from survfuse.reporting.render import span

ABSENT = Markup('<span class="none">–</span>')


def read_count(row: Mapping[str, Any], patients: int, least: int) -> str | None:
    """How many of the patients a row read, as `of_all` prints it; None where that is not known."""
    n = row.get("n_read")
    return None if n is None else of_all(n, patients, least)


def reads(evaluation: Evaluation, least: int, row: Mapping[str, Any]) -> Markup:
    """The cell of a row in the column of patients read."""
    count = read_count(row, evaluation["n_patients"], least)
    if count is None:
        return ABSENT
    if not count.isdigit():
        return Markup('<span class="none">{}</span>').format(count)
    return span(f"evaluation/rows/{row['model']}/n_read", count)


def other_notes(notes: Sequence[str], evaluation: Evaluation) -> Sequence[str]:
    """The notes but for those on rows left out, which stand in their own list."""
    listed = {row["sentence"] for row in evaluation["left_out"]}
    return [note for note in notes if note not in listed]
