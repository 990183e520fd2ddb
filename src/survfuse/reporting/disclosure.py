"""Withholding small counts, so that no reader can recognise a patient in a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SiteRow:
    """A row of the site table; None is a withheld count."""

    site: str
    merged: int  # number of sites this row stands for
    n: int | None
    events: int | None


def withhold(counts: Sequence[int], least: int) -> list[int | None]:
    """The counts, those below `least` as None.

    A single withheld count could be had back by subtracting the others from the total, so the
    next smallest is withheld with it.
    """
    hidden = {index for index, count in enumerate(counts) if count < least}
    if len(hidden) == 1 and len(counts) > 1:
        rest = [index for index in range(len(counts)) if index not in hidden]
        hidden.add(min(rest, key=lambda index: counts[index]))
    return [None if index in hidden else count for index, count in enumerate(counts)]


def overlap_rows(cohort: Mapping[str, Any], names: Iterable[str], least: int) -> dict[str, Any]:
    """The combinations of modalities with their patients, and those of `names` that anybody has."""
    known = [name for name in names if cohort["modalities"].get(name)]
    counts = withhold([part["n"] for part in cohort["overlap"]], least)
    rows = [
        {"modalities": part["modalities"], "n": n}
        for part, n in zip(cohort["overlap"], counts, strict=True)
    ]
    return {"names": known, "rows": rows}


def site_rows(sites: Sequence[Mapping[str, Any]], least: int) -> list[SiteRow]:
    """The site table, largest first; sites with fewer than `least` patients share one row."""
    ranked = sorted(sites, key=lambda site: (-site["n"], site["site"]))
    kept = withhold([site["n"] for site in ranked], least)
    named = [site for site, n in zip(ranked, kept, strict=True) if n is not None]
    merged = [site for site, n in zip(ranked, kept, strict=True) if n is None]
    groups = [(str(site["site"]), [site]) for site in named]
    if merged:
        groups.append(("Other sites", merged))
    patients = withhold([sum(site["n"] for site in part) for _, part in groups], least)
    events = withhold([sum(site["events"] for site in part) for _, part in groups], least)
    return [
        SiteRow(name, len(part), n, shown)
        for (name, part), n, shown in zip(groups, patients, events, strict=True)
    ]
