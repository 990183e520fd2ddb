"""What the page of a comparison prints; every number is one of compare.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survfuse.artifacts.comparison import (
    ComparedStudies,
    ComparedStudy,
    Difference,
    PooledDifference,
)
from survfuse.evaluation.comparable import Comparable
from survfuse.reporting.comparison.forest import DIGITS, pooled_forest
from survfuse.reporting.saved_files import Saved
from survfuse.reporting.wording import plural


def comparison_page(compared: ComparedStudies, comparable: Comparable) -> Mapping[str, Any]:
    """The context of the template."""
    labels = {row["model"]: row["label"] for row in compared["rows"]}
    labels[compared["reference"]] = compared["reference_label"]
    metrics = {one.metric.name: one for one in comparable.differences}
    pooled = {(one["model"], one["metric"]): one for one in compared["pooled"]}
    differences = {(one["study"], one["model"], one["metric"]): one
                   for one in compared["differences"]}  # fmt: skip
    main = [one for one in compared["pooled"] if one["model"] == compared["main"]]
    sizes = {study["study"]: size_of(study) for study in compared["studies"]}
    return {
        "compared": compared,
        "level": f"{100 * compared['confidence']:g} %",
        "labels": labels,
        "digits": DIGITS,
        "shown": comparable.shown,
        "metrics": metrics,
        "pooled": pooled,
        "differences": differences,
        "scores": {(s["study"], s["model"], s["metric"]): s for s in compared["scores"]},
        "main": main,
        "verdicts": [verdict(one) for one in main],
        "drawings": [
            pooled_forest(
                [found for found in compared["differences"] if same(found, one)],
                one,
                sizes,
                (
                    metrics[one["metric"]].metric.title,
                    labels[one["model"]],
                    labels[compared["reference"]],
                ),
            )
            for one in main
        ],
        "sizes": sizes,
        "tables": {},
        "saved": Saved(),
        "own_words": [*labels, *labels.values(), *sizes],
    }


def same(difference: Difference, pooled: PooledDifference) -> bool:
    """Whether a difference is one of those that were pooled."""
    return (difference["model"], difference["metric"]) == (pooled["model"], pooled["metric"])


def size_of(study: ComparedStudy) -> str:
    """Patients and, where they are counted, events."""
    events = study["n_events"]
    patients = plural(study["n_patients"], "patient")
    return patients if events is None else f"{patients}, {plural(events, 'event')}"


def verdict(pooled: PooledDifference) -> str:
    """What the interval of a mean difference shows: better, worse or unclear."""
    if pooled["low"] <= 0 <= pooled["high"]:
        return "unclear"
    return "better" if (pooled["low"] > 0) == (pooled["better"] == "higher") else "worse"
