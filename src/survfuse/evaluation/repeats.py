"""How often the folds repeat for each row, which need not be the same for all.

Rows that cost little are fitted in all repeats, networks in as many as the configuration says, the
first ones. A row is scored on the repeats that it has, and two rows are compared on those of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd


def repeats_in(predictions: pd.DataFrame) -> int:
    """The number of repeats in a table of predictions; `match_study` refuses incomplete ones."""
    return 1 + int(predictions["repeat"].max())


def repeat_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence where rows of evaluation.json have different numbers of repeats."""
    models: dict[int, list[str]] = {}
    for row in rows:
        if row["role"] != "oracle":
            models.setdefault(row["n_repeats"], []).append(row["label"])
    if len(models) < 2:
        return []
    listed = [
        f"{', '.join(labels)}: {number} {'time' if number == 1 else 'times'}"
        for number, labels in sorted(models.items(), reverse=True)
    ]
    return [
        "Rows are fitted in different numbers of repeats of the cross-validation "
        f"({'; '.join(listed)}). With fewer, intervals are wider; a difference between two rows is "
        "taken over the repeats that both have."
    ]
