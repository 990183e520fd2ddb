"""Plain sentences about the result: which differences are not shown, leaks, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from survfuse.artifacts.evaluation import Comparison
from survfuse.artifacts.layout import folds_in_words
from survfuse.evaluation.risks import ModelRisks
from survfuse.evaluation.roles import COMBINING
from survfuse.statistics.comparison import LEAST_EVENTS
from survfuse.statistics.metrics import HorizonError, NoComparablePairsError, comparable_pairs
from survfuse.statistics.risk_groups import GROUPS
from survfuse.tasks.survival.intervals import FOLDS, PERCENTILES
from survfuse.tasks.survival.metrics import METRICS, RANKING
from survfuse.tasks.survival.protocol import Protocol
from survfuse.tasks.survival.rows import Row

FIXED_NOTES = (
    "The calibration slope compares patients within folds, with follow-up cut at the horizon; its "
    "interval is Wald's, widened because test patients trained the models of other folds.",
    "Observed/expected is near 1 by construction inside a cross-validation: every model has "
    "learned from the same cohort how many events there are. It is no evidence of calibration "
    "elsewhere.",
    "Risk groups are thirds of the cohort by the recalibrated estimate that patient pages print. "
    "No log-rank p-value is given: on groups made from cross-validated predictions it is too "
    "small.",
)


def about_figures() -> list[str]:
    """What intervals and figures mean, whatever their values."""
    over_folds, resampled = (
        list(dict.fromkeys(one.word for one in METRICS.values() if one.interval.about == about))
        for about in (FOLDS.about, PERCENTILES)
    )
    return [
        f"Intervals of {', '.join(over_folds)} and of differences repeat the whole training over "
        f"folds (corrected resampled t); intervals of {', '.join(resampled[:-1])} and "
        f"{resampled[-1]} resample patients and are conditional on the fitted models.",
        *FIXED_NOTES,
    ]


def not_shown_better(
    rows: Sequence[Row], comparisons: Sequence[Comparison], confidence: float
) -> list[str]:
    """Say for every reference which models of several modalities are not shown to be better.

    That is, the interval of their difference reaches 0 or below, there is none, or there are too
    few events.
    """
    by_name = {row.model: row for row in rows}
    found: dict[str, list[str]] = {}
    for comparison in comparisons:
        model, low = by_name[comparison["model"]], comparison["low"]
        if model.role not in COMBINING or (low is not None and low > 0 and not comparison["few"]):
            continue
        if low is None:
            in_words = comparison["reason"]
        else:
            in_words = f"{comparison['difference']:+.3f}, {low:+.3f} to {comparison['high']:+.3f}"
            in_words += f"; fewer than {LEAST_EVENTS} events" if comparison["few"] else ""
        found.setdefault(comparison["reference"], []).append(f"{model.label} ({in_words})")
    return [
        f"Not shown to be better than {by_name[reference].label} (difference in {RANKING.word}, "
        f"{confidence:.0%} interval): {'; '.join(models)}."
        for reference, models in found.items()
    ]


def leaking_controls(rows: Sequence[Row], scored: Mapping[str, dict[str, Any]]) -> list[str]:
    """A control that finds something in permuted outcomes means that something leaks."""
    return [
        f"{row.label} was trained on permuted outcomes and still scores above 0.5 "
        f"({RANKING.word} {RANKING.found(scored[row.model])['value']:.3f}): test outcomes may have "
        "leaked into training, so distrust the other rows."
        for row in rows
        if row.role == "control" and (RANKING.found(scored[row.model])["low"] or 0) > 0.5
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
                where = folds_in_words([fold.fold], fold.repeat)
                notes.append(f"{where.capitalize()} is left out of {metric}: {error}.")
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


def without_groups(rows: Sequence[Row], risks: Mapping[str, ModelRisks]) -> list[str]:
    """Models whose estimates are those of the cohort for every patient, so that none differ."""
    return [
        f"{row.label} has no risk groups: its out-of-fold predictions do not discriminate, so that "
        "each patient is given the risk of the cohort."
        for row in rows
        if (found := risks.get(row.model)) and found.by_months and found.groups is None
    ]
