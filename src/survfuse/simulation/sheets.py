"""What both simulated studies share: sheets, missing cells, and truncated files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.core.files import write_text

TRUNCATED_SHARE = 0.6  # of the bytes, in a file whose transfer was cut off


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a sheet as tab-separated text."""
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n"))


def emptied(rng: np.random.Generator, values: list[str], share: float) -> list[str]:
    """The values with this share of them, at least one, empty at random."""
    n = len(values)
    gone = set(rng.choice(n, max(1, round(share * n)), replace=False).tolist())
    return ["" if row in gone else value for row, value in enumerate(values)]


def cut_off(content: bytes) -> bytes:
    """What arrived of a file when its transfer broke."""
    return content[: int(len(content) * TRUNCATED_SHARE)]
