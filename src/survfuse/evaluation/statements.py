"""Plain sentences about the result: what is not beaten, what may leak, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from survfuse.evaluation.metrics import HorizonError, NoComparablePairsError, comparable_pairs
from survfuse.evaluation.protocol import Protocol
from survfuse.evaluation.risk_groups import GROUPS
from survfuse.evaluation.rows import COMBINING, Row

FIXED_NOTES = (
    "Intervals of C and of differences repeat the whole training over folds (corrected resampled "
    "t); intervals of AUC, Brier score and observed/expected resample patients and are "
    "conditional on the fitted models.",
    "Risk groups are tertiles of the risk within each test fold of the first repeat. No log-rank "
    "p-value is given: on groups made from cross-validated predictions it is too small.",
)


def not_beaten(
    rows: Sequence[Row], comparisons: Sequence[dict[str, Any]], confidence: float
) -> list[str]:
    """Say for every reference which models of several modalities are not shown to beat it.

    That is, the interval of their difference reaches 0 or below.
    """
    by_name = {row.model: row for row in rows}
    found: dict[str, list[str]] = {}
    for comparison in comparisons:
        model, low = by_name[comparison["model"]], comparison["low"]
        if model.role not in COMBINING or (low is not None and low > 0):
            continue
        if low is None:
            told = comparison["reason"]
        else:
            told = f"{comparison['difference']:+.3f}, {low:+.3f} to {comparison['high']:+.3f}"
        found.setdefault(comparison["reference"], []).append(f"{model.label} ({told})")
    return [
        f"Not shown to beat {by_name[reference].label} (difference in C, {confidence:.0%} "
        f"interval): {'; '.join(models)}."
        for reference, models in found.items()
    ]


def leaking_controls(rows: Sequence[Row], scored: Mapping[str, dict[str, Any]]) -> list[str]:
    """A control that finds something in permuted outcomes means that something leaks."""
    return [
        f"{row.label} was trained on permuted outcomes and still scores above 0.5 (C "
        f"{scored[row.model]['harrell_c']['value']:.3f}): test outcomes may have leaked into "
        "training, so distrust the other rows."
        for row in rows
        if row.role == "control" and (scored[row.model]["harrell_c"]["low"] or 0) > 0.5
    ]


def unscored(protocol: Protocol) -> list[str]:
    """Folds and horizons that are left out, and why."""
    notes = []
    for fold in protocol.study.folds:
        tested = protocol.study.outcome[fold.test]
        for before, metric in ((np.inf, "every C"), (protocol.tau_months, "Uno's C")):
            try:
                comparable_pairs(tested, before)
            except NoComparablePairsError as error:
                notes.append(
                    f"Fold {fold.fold} of repeat {fold.repeat} is left out of {metric}: {error}."
                )
                break
    for months in protocol.horizons_months:
        if isinstance(found := protocol.weights[months], HorizonError):
            notes.append(f"Nothing is estimated at {months:g} months: {found}.")
    return notes


def empty_groups(rows: Sequence[Row], groups: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """Models whose predictions are too equal to form three risk groups."""
    notes = []
    for row in rows:
        formed = [group["group"] for group in groups.get(row.model, [])]
        if formed and (empty := [name for name in GROUPS if name not in formed]):
            notes.append(
                f"{row.label} puts nobody into the group of {' and '.join(empty)} risk: too many "
                "of its predictions are equal."
            )
    return notes
