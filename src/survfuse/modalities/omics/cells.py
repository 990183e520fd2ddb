"""From the cells of a gene matrix to numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from survfuse.sheets.text_table import as_number

MISSING = {
    *("", "na", "nan", "-nan", "+nan", "n/a", "#n/a", "<na>", "null", "none"),
    *("[not available]", "[not applicable]", "[unknown]"),
}
LARGEST = float(np.finfo(np.float32).max)
NOT_FINITE = "is not a finite number"
NUMERIC = "write numbers, and nothing where there is no measurement"
# Of cells joined by commas. What else float() accepts (inf, 1_000, other digits) has other letters.
PLAIN = re.compile(r"[0-9.eE+\-,na]*")
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")


def measurement(text: str) -> float | None:
    """The number of a cell, NaN where nothing was measured, None for anything else.

    Numbers are finite, also in the 32 bits that they are kept in.
    """
    value = as_number(text)
    if value is None:
        return math.nan if text.lower() in MISSING else None
    return value if abs(value) <= LARGEST else None


def measurements(cells: Sequence[str]) -> NDArray[np.float32] | None:
    """`measurement` of all cells of a row (n,); None where that is None for any."""
    values = plain_numbers(cells)
    if values is None:
        values = plain_numbers(["nan" if text.lower() in MISSING else text for text in cells])
    if values is None or np.abs(values).max(initial=0, where=~np.isnan(values)) > LARGEST:
        return None
    return values.astype(np.float32)


def plain_numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Cells as numbers (n,), "nan" as NaN; None where any is neither."""
    if not PLAIN.fullmatch(",".join(cells)):
        return None
    try:
        return np.array(list(map(float, cells)), dtype=np.float64)
    except ValueError:
        return None
