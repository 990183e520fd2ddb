"""Withholding small counts, so that no reader can recognise a patient in a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.core.errors import UserInputError


@dataclass(frozen=True)
class SiteRow:
    """A row of the site table; None is a withheld count."""

    site: str
    merged: int  # number of sites this row stands for
    n: int | None
    events: int | None


@dataclass(frozen=True)
class CovariateRow:
    """How the values of a covariate are spread, in words; None is a withheld count."""

    name: str
    type: str
    summary: str
    missing: int | None


def withhold(counts: Sequence[int], least: int, tell_zeros: bool = False) -> list[int | None]:
    """The counts, those below `least` as None.

    What is withheld could be had back by subtracting the others from the total, so the next
    smallest are withheld as well until together they are `least`. With `tell_zeros` a count of 0
    is given, as it describes nobody; not so for events, where it would disclose the outcome of all.
    """
    hidden = {i for i, n in enumerate(counts) if n < least and not (tell_zeros and n == 0)}
    rest = sorted((i for i, n in enumerate(counts) if n >= least), key=lambda i: counts[i])
    while hidden and rest and sum(counts[i] for i in hidden) < least:
        hidden.add(rest.pop(0))
    return [None if i in hidden else n for i, n in enumerate(counts)]


def of_all(n: int, total: int, least: int) -> str:
    """How many of all patients have something, as every table and figure of patients prints it.

    A bound where they, or the others, are fewer than `least`; not for nobody or everybody.
    """
    if 0 < n < least:
        return f"fewer than {least}"
    return f"more than {total - least}" if 0 < total - n < least else str(n)


def covariate_rows(cohort: Mapping[str, Any], least: int) -> list[CovariateRow]:
    """The table of covariates; who lacks a value counts as one more level.

    Raises UserInputError for a summary that holds words instead of counts.
    """
    rows = []
    for covariate in cohort["covariates"]:
        if "levels" not in covariate:
            raise UserInputError(
                "cohort.json: written by an earlier version, so that its counts cannot be "
                "withheld; run check-cohort again"
            )
        levels = covariate["levels"] or []
        counts = [*(level["n"] for level in levels), covariate["missing"]]
        *shown, missing = withhold(counts, least, tell_zeros=True)
        if levels:
            summary = ", ".join(
                f"{level['level']}: {'withheld' if n is None else n}"
                for level, n in zip(levels, shown, strict=True)
            )
        else:
            known = cohort["n_patients"] - covariate["missing"]
            summary = "withheld" if known < least else quartiles_in_words(*covariate["quartiles"])
        rows.append(CovariateRow(covariate["name"], covariate["type"], summary, missing))
    return rows


def quartiles_in_words(low: float, middle: float, high: float) -> str:
    """The spread of a number."""
    return f"median {digits(middle)} (quartiles {digits(low)} to {digits(high)})"


def digits(value: float) -> str:
    """A number to four digits, without a power of ten where people would write none."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


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


def risk_group_rows(groups: Sequence[Mapping[str, Any]], least: int) -> list[dict[str, Any]]:
    """Risk groups with their patients `n` and `events`, None where withheld.

    The events of a group of unknown size are not given either.
    """
    patients = withhold([group["n"] for group in groups], least)
    events = withhold([group["events"] for group in groups], least)
    return [
        {**group, "n": n, "events": None if n is None else shown}
        for group, n, shown in zip(groups, patients, events, strict=True)
    ]
