"""Confusion matrices on the page of a diagnosis, without the counts that must be withheld."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.reporting.disclosure import withhold


@dataclass(frozen=True)
class Called:
    """Patients of one class that were called another or the same; None is withheld."""

    n: int | None
    share: float | None  # of the patients of the class


@dataclass(frozen=True)
class Confusion:
    """What a model called the patients of each class, and by which rule."""

    model: str
    label: str
    rule: str
    rows: list[list[Called]]  # by class, then by what they were called


def confusions(rows: Sequence[Mapping[str, Any]], least: int) -> list[Confusion]:
    """The matrices of rows that have one, without counts below `least`.

    A count that could be had back from the others of its class is withheld too. A 0 is withheld
    like any small count: it would disclose the class of all who were called so.
    """
    return [
        Confusion(
            row["model"],
            row["label"],
            row["confusion"]["rule"],
            [called(counts, least) for counts in row["confusion"]["counts"]],
        )
        for row in rows
        if row.get("confusion")
    ]


def called(counts: Sequence[int], least: int) -> list[Called]:
    """One class: how many were called what."""
    total = sum(counts)
    return [
        Called(n, None if n is None or not total else n / total) for n in withhold(counts, least)
    ]
