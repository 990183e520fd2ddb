"""Does a synthesised volume help over a mask? Two rows that differ in nothing else answer.

Compared are the patients who lack a volume, and those who have a PET and from whom it is withheld
at prediction (the ablation "without pet"). The second are more, and as healthy or ill as those with
PET are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

from survfuse.modalities.registry import COSTLY
from survfuse.tasks.diagnosis.evaluation import compare_diagnoses
from survfuse.tasks.diagnosis.predictions import WITHOUT
from survfuse.tasks.diagnosis.rows import ClassRow

OPTION = "absent"


def compare_policies(rows: Sequence[ClassRow], confidence: float) -> list[dict[str, Any]]:
    """For each pair of rows that differ only in the option `absent`: synthesising minus masking.

    `lacking` and `withheld` each have n, and paired differences of AUROC and Brier score; None
    where there is no such patient.
    """
    found = []
    for ours, theirs in permutations(rows, 2):
        if not is_pair(ours, theirs) or not synthesises(ours) or synthesises(theirs):
            continue
        lacking = ours.first.synthesised
        entry: dict[str, Any] = {"synthesise": ours.model, "mask": theirs.model}
        entry["lacking"] = (
            compare_diagnoses(ours.first.rows(lacking), theirs.first.rows(lacking), confidence)
            if (ours.first.known().synthesised).any()
            else None
        )
        both = [row.ablations.get(WITHOUT + COSTLY) for row in (ours, theirs)]
        entry["withheld"] = (
            compare_diagnoses(both[0], both[1], confidence)
            if both[0] is not None and both[1] is not None and len(both[0].known())
            else None
        )
        found.append(entry)
    return found


def is_pair(ours: ClassRow, theirs: ClassRow) -> bool:
    """Whether two rows are of one kind and differ in how they treat absent volumes alone."""
    first, second = (
        (row.config.kind, row.config.permute_outcomes, without_option(row.config.options))
        for row in (ours, theirs)
    )
    return first == second


def without_option(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != OPTION}


def synthesises(row: ClassRow) -> bool:
    """Whether a synthetic volume stood in anywhere in the predictions of a row."""
    return bool(row.first.synthesised.any()) or any(
        one.synthesised.any() for one in row.ablations.values()
    )
