"""Tables of numbers that go into files: columns by name."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from survfuse.core.files import write_text

Columns = Mapping[str, Sequence[Any]]


def columns_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns, in the order in which they first occur; what a row lacks is None."""
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def write_csv(path: Path, table: Columns) -> None:
    """Write a table as CSV: UTF-8, comma, point; numbers with six digits, missing ones empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(map(cell, row) for row in zip(*table.values(), strict=True))
    write_text(path, text.getvalue())


def cell(value: Any) -> str:
    """A value of a table as text."""
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
