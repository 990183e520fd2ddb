"""From the patients of the sheet to those analysed: who was excluded, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from survfuse.reporting.columns import Columns, columns_of
from survfuse.reporting.disclosure import withhold


@dataclass(frozen=True)
class Excluded:
    """Patients excluded for one reason; None is withheld."""

    reason: str
    n: int | None


@dataclass(frozen=True)
class Flow:
    """Patients of the sheet, excluded and analysed.

    `in_sheet` and `out` are None where they would disclose how many of a few patients were
    excluded.
    """

    in_sheet: int | None
    out: int | None
    excluded: list[Excluded]
    analysed: int

    def table(self) -> Columns:
        """The flow as a table for a file."""
        steps: list[tuple[str, int | None]] = [("in the sheet", self.in_sheet)]
        steps += [(f"excluded: {part.reason}", part.n) for part in self.excluded]
        steps.append(("analysed", self.analysed))
        return columns_of(
            {"step": step, "patients": "withheld" if n is None else n} for step, n in steps
        )


def flow_of(cohort: Mapping[str, Any], least: int) -> Flow:
    """The flow in cohort.json; summaries of earlier versions have no exclusions."""
    stored = cohort.get("flow") or {
        "in_sheet": cohort["n_patients"],
        "excluded": [],
        "analysed": cohort["n_patients"],
    }
    counts = [part["n"] for part in stored["excluded"]]
    few = 0 < sum(counts) < least
    excluded = [
        Excluded(part["reason"], n)
        for part, n in zip(stored["excluded"], withhold(counts, least), strict=True)
    ]
    return Flow(
        None if few else stored["in_sheet"],
        None if few else sum(counts),
        excluded,
        stored["analysed"],
    )
