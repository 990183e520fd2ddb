"""What is found of a package in another cohort, as a table and as a recalibration to be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from survfuse.evaluation.external import UNTOUCHED
from survfuse.statistics.updating import FORMULAS, Link

Record = Mapping[str, Any]
RECALIBRATION = "survfuse/recalibration/1"
HOW = (
    "p is the estimate of the package, p' the one for patients of this cohort, by horizon or "
    "class. With several horizons no p' may fall below that of an earlier one."
)
COLUMNS = ("row", "recalibration", "minus", "metric", "part", "value", "low", "high", "reason")


def metrics_table(record: Record) -> pd.DataFrame:
    """One row for each estimate: of the row and the reference, of differences, and recalibrated.

    `recalibration` is untouched or its kind; `minus`: what a difference is taken from; `part`: the
    horizon in months or the class.
    """
    row, reference, found = record["row"], record["reference"], list[dict[str, Any]]()
    for name, metrics in record["rows"].items():
        found += lines(metrics, row=name, recalibration=UNTOUCHED, minus="")
    found += lines(record["differences"], row=row, recalibration=UNTOUCHED, minus=reference)
    for kind, one in record["recalibrated"].items():
        found += lines(one["metrics"], row=row, recalibration=kind, minus="")
        found += lines(one["differences"], row=row, recalibration=kind, minus=UNTOUCHED)
    return pd.DataFrame(found, columns=list(COLUMNS))


def lines(metrics: Mapping[str, Any], **named: Any) -> Iterator[dict[str, Any]]:
    """A line for each part of each metric."""
    for metric, found in metrics.items():
        parts = {"": found} if "value" in found else found
        for part, estimate in parts.items():
            yield {**named, "metric": metric, "part": part, "reason": "", **estimate}


def recalibration_record(record: Record, link: Link) -> dict[str, Any]:
    """What recalibration.json holds: by kind and part the fitted numbers, or why there are none."""
    return {
        "schema": RECALIBRATION,
        "survfuse": record["survfuse"],
        "package": {key: record["package"][key] for key in ("name", "sha256")},
        "row": record["row"],
        "cohort": record["cohort"]["name"],
        "formula": FORMULAS[link],
        "how": HOW,
        **{kind: one["fitted"] for kind, one in record["recalibrated"].items()},
    }
