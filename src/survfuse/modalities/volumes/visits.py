"""The order of visits, which sheets name as studies do: bl, m06, m12; v2, v10; 6m, 1y."""

from __future__ import annotations

import re
from collections.abc import Iterable

# In the order of a study; before every visit that is numbered.
FIRST = ("sc", "scr", "scmri", "screen", "screening", "bl", "base", "baseline", "init", "initial")
MONTHS_PER = {"m": 1.0, "y": 12.0, "w": 7 / 30.4375, "d": 1 / 30.4375}
UNIT = r"(m|mo|mon|month|months|y|yr|year|years|w|wk|week|weeks|d|day|days)"
MOMENT = re.compile(rf"{UNIT}[_-]*([0-9]+)|([0-9]+)[_-]*{UNIT}")

Order = tuple[int, float, tuple[tuple[int, int, str], ...], str]


def visit_order(visit: str) -> Order:
    """The key that sorts visits in time: screening, baseline, then as numbered; case is ignored.

    Numbers are compared as numbers, and months, years, weeks and days as times: m6, m12, y2. Names
    without a number are in alphabetical order, after those of a time.
    """
    name = visit.casefold()
    if name in FIRST:
        return 0, FIRST.index(name), (), visit
    if moment := MOMENT.fullmatch(name):
        unit, number = moment[1] or moment[4], moment[2] or moment[3]
        return 1, int(number) * MONTHS_PER[unit[0]], (), visit
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    natural = tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)
    return 2, 0.0, natural, visit


def first_visit(visits: Iterable[str]) -> str:
    """The first of some visits, of which there must be one, in time."""
    return min(visits, key=visit_order)
