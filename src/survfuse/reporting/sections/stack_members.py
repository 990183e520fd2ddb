"""What a stack is made of: the weights of its members, and how far they vary between folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from survfuse.modalities.registry import MODALITIES, PATIENT_TABLE
from survfuse.models.stacking.members import JOINT

LEAST_EFFECT = 0.005  # less would be printed as 0.00
IN_WORDS = {JOINT: "all blocks jointly", PATIENT_TABLE: MODALITIES[PATIENT_TABLE].noun}


@dataclass(frozen=True)
class MemberRow:
    """One member over the folds: its effect per standard deviation of its score."""

    name: str
    median: float
    low: float
    high: float
    counts: int  # folds in which it counts
    folds: int  # in which it was a member


@dataclass(frozen=True)
class StackTable:
    """The members of one row of the leaderboard. unit: what an effect is measured in."""

    model: str
    label: str
    unit: str
    rows: list[MemberRow]


def stack_tables(
    fits: Iterable[Mapping[str, Any]], labels: Mapping[str, str], unit: str
) -> list[StackTable]:
    """The stacks among the fitted rows, by the names of `labels`; members in their order."""
    effects: dict[str, dict[str, list[float]]] = {}
    for fit in fits:
        name = fit["model"]["name"]
        for member in fit.get("stack", ()) if name in labels else ():
            effects.setdefault(name, {}).setdefault(member["name"], []).append(member["effect"])
    return [
        StackTable(name, labels[name], unit, [member_row(*one) for one in members.items()])
        for name, members in effects.items()
    ]


def member_row(name: str, effects: Sequence[float]) -> MemberRow:
    """One member, from its effect in each fold."""
    counts = sum(effect >= LEAST_EFFECT for effect in effects)
    ends = (min(effects), max(effects))
    return MemberRow(IN_WORDS.get(name, name), median(effects), *ends, counts, len(effects))
